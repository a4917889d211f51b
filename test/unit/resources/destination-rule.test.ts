import { type RuleCase, testRules } from './rule-cases.ts'

const spec = (change: object) => ({ host: 'reviews', ...change })
const policy = (trafficPolicy: object) => spec({ trafficPolicy })
const at = '/spec/trafficPolicy'
const pool = (settings: object) => policy({ connectionPool: settings })
const outlier = (settings: object) => policy({ outlierDetection: settings })
const balancer = (settings: object) => policy({ loadBalancer: settings, outlierDetection: {} })
const locality = (settings: object, more: object = {}) => balancer({ localityLbSetting: settings, ...more })
const hash = (settings: object) => balancer({ consistentHash: settings })
const tls = (settings: object) => policy({ tls: settings })
const simple = policy({ loadBalancer: { simple: 'RANDOM' } })

const cases: Record<string, RuleCase> = {
  'the host is a name': { bad: { host: 'a_b' }, good: { host: '*.a.com' }, at: '/spec/host' },
  'the host is there': { bad: {}, good: spec({}), at: '/spec' },
  'a subset is not null': {
    bad: spec({ subsets: [null] }),
    good: spec({ subsets: [{ name: 'v1' }] }),
    at: '/spec/subsets/0',
  },
  'a subset has a name': {
    bad: spec({ subsets: [{ name: '' }] }),
    good: spec({ subsets: [{ name: 'v1' }] }),
    at: '/spec/subsets/0/name',
  },
  'subset names differ': {
    bad: spec({ subsets: [{ name: 'a' }, { name: 'a' }] }),
    good: spec({ subsets: [{ name: 'a' }, { name: 'b' }] }),
    at: '/spec/subsets/1/name',
  },
  'labels of a subset are labels': {
    bad: spec({ subsets: [{ name: 'a', labels: { version: 'v 1' } }] }),
    good: spec({ subsets: [{ name: 'a', labels: { version: 'v1' } }] }),
    at: '/spec/subsets/0/labels/version',
  },
  'a traffic policy has a field': { bad: policy({}), good: simple, at },
  'a tunnel excludes proxyProtocol': {
    bad: policy({ tunnel: { targetHost: 'a.com', targetPort: 443 }, proxyProtocol: {} }),
    good: policy({ tunnel: { targetHost: 'a.com', targetPort: 443 } }),
    at: `${at}/proxyProtocol`,
  },
  'settings of a port are not null': {
    bad: policy({ portLevelSettings: [null] }),
    good: simple,
    at: `${at}/portLevelSettings/0`,
  },
  'settings of a port name it': {
    bad: policy({ portLevelSettings: [{ tls: { mode: 'SIMPLE' } }] }),
    good: policy({ portLevelSettings: [{ port: { number: 443 }, tls: { mode: 'SIMPLE' } }] }),
    at: `${at}/portLevelSettings/0`,
  },
  'the port of settings is in range': {
    bad: policy({ portLevelSettings: [{ port: { number: 0 }, tls: { mode: 'SIMPLE' } }] }),
    good: policy({ portLevelSettings: [{ port: { number: 1 }, tls: { mode: 'SIMPLE' } }] }),
    at: `${at}/portLevelSettings/0/port/number`,
  },
  'settings of a port have a field': {
    bad: policy({ portLevelSettings: [{ port: { number: 443 } }] }),
    good: policy({ portLevelSettings: [{ port: { number: 443 }, connectionPool: { tcp: {} } }] }),
    at: `${at}/portLevelSettings/0`,
  },
  'a connection pool has a part': { bad: pool({}), good: pool({ tcp: {} }), at: `${at}/connectionPool` },
  'maxConnections is not negative': {
    bad: pool({ tcp: { maxConnections: -1 } }),
    good: pool({ tcp: { maxConnections: 0 } }),
    at: `${at}/connectionPool/tcp/maxConnections`,
  },
  'maxRetries is not negative': {
    bad: pool({ http: { maxRetries: -1 } }),
    good: pool({ http: { maxRetries: 3 } }),
    at: `${at}/connectionPool/http/maxRetries`,
  },
  'useClientProtocol excludes an upgrade': {
    bad: pool({ http: { useClientProtocol: true, h2UpgradePolicy: 'UPGRADE' } }),
    good: pool({ http: { useClientProtocol: true, h2UpgradePolicy: 'DO_NOT_UPGRADE' } }),
    at: `${at}/connectionPool/http/h2UpgradePolicy`,
  },
  'connectTimeout is at least a millisecond': {
    bad: pool({ tcp: { connectTimeout: '0s' } }),
    good: pool({ tcp: { connectTimeout: '1ms', idleTimeout: '0s' }, http: { idleTimeout: '0s' } }),
    at: `${at}/connectionPool/tcp/connectTimeout`,
  },
  'http2KeepAlive needs both times': {
    bad: pool({ http: { http2KeepAlive: { interval: '1s' } } }),
    good: pool({ http: { http2KeepAlive: { interval: '1s', timeout: '1s' } } }),
    at: `${at}/connectionPool/http/http2KeepAlive`,
  },
  'maxEjectionPercent is a percentage': {
    bad: outlier({ maxEjectionPercent: 101 }),
    good: outlier({ maxEjectionPercent: 100 }),
    at: `${at}/outlierDetection/maxEjectionPercent`,
  },
  'minHealthPercent is a percentage': {
    bad: outlier({ minHealthPercent: -1 }),
    good: outlier({ minHealthPercent: 0 }),
    at: `${at}/outlierDetection/minHealthPercent`,
  },
  'the interval of outlier detection is a duration': {
    bad: outlier({ interval: '1 s' }),
    good: outlier({ interval: '1s' }),
    at: `${at}/outlierDetection/interval`,
  },
  'consecutiveLocalOriginFailures needs the split': {
    bad: outlier({ consecutiveLocalOriginFailures: 1 }),
    good: outlier({ consecutiveLocalOriginFailures: 1, splitExternalLocalOriginErrors: true }),
    at: `${at}/outlierDetection/consecutiveLocalOriginFailures`,
  },
  'consecutiveErrors is deprecated': {
    bad: outlier({ consecutiveErrors: 1 }),
    good: outlier({ consecutive5xxErrors: 1 }),
    at: `${at}/outlierDetection/consecutiveErrors`,
    severity: 'warning',
  },
  'a cookie has a name': {
    bad: hash({ httpCookie: { name: '' } }),
    good: hash({ httpCookie: { name: 'a', ttl: '0s' } }),
    at: `${at}/loadBalancer/consistentHash/httpCookie/name`,
  },
  'cookie attributes differ': {
    bad: hash({ httpCookie: { name: 'a', attributes: [{ name: 'Secure' }, { name: 'Secure' }] } }),
    good: hash({ httpCookie: { name: 'a', attributes: [{ name: 'Secure' }, { name: 'SameSite', value: 'Lax' }] } }),
    at: `${at}/loadBalancer/consistentHash/httpCookie/attributes/1/name`,
  },
  'minimumRingSize does not go with maglev': {
    bad: hash({ useSourceIp: true, minimumRingSize: 10, maglev: {} }),
    good: hash({ useSourceIp: true, ringHash: { minimumRingSize: 10 } }),
    at: `${at}/loadBalancer/consistentHash/minimumRingSize`,
  },
  'minimumRingSize is deprecated': {
    bad: hash({ useSourceIp: true, minimumRingSize: 10 }),
    good: hash({ useSourceIp: true, ringHash: {} }),
    at: `${at}/loadBalancer/consistentHash/minimumRingSize`,
    severity: 'warning',
  },
  'a maglev table has a prime size': {
    bad: hash({ useSourceIp: true, maglev: { tableSize: 65536 } }),
    good: hash({ useSourceIp: true, maglev: { tableSize: 65537 } }),
    at: `${at}/loadBalancer/consistentHash/maglev/tableSize`,
  },
  'a maglev table is not too large': {
    bad: hash({ useSourceIp: true, maglev: { tableSize: 5000011 } }),
    good: hash({ useSourceIp: true, maglev: { tableSize: 4999999 } }),
    at: `${at}/loadBalancer/consistentHash/maglev/tableSize`,
  },
  'a maglev table is not empty': {
    bad: hash({ useSourceIp: true, maglev: { tableSize: 0 } }),
    good: hash({ useSourceIp: true, maglev: {} }),
    at: `${at}/loadBalancer/consistentHash/maglev/tableSize`,
  },
  'hash keys exclude each other': {
    bad: hash({ useSourceIp: true, httpHeaderName: 'a' }),
    good: hash({ httpHeaderName: 'a' }),
    at: `${at}/loadBalancer/consistentHash/useSourceIp`,
  },
  'distribute excludes failover': {
    bad: locality({ distribute: [{ from: 'a', to: { a: 100 } }], failover: [{ from: 'a', to: 'b' }] }),
    good: locality({ failover: [{ from: 'a', to: 'b' }] }),
    at: `${at}/loadBalancer/localityLbSetting/failover`,
  },
  'a locality weight is from 1 to 100': {
    bad: locality({ distribute: [{ from: 'a', to: { a: 0, b: 100 } }] }),
    good: locality({ distribute: [{ from: 'a', to: { a: 1, b: 99 } }] }),
    at: `${at}/loadBalancer/localityLbSetting/distribute/0/to/a`,
  },
  'locality weights add up to 100': {
    bad: locality({ distribute: [{ from: 'a', to: { a: 50, b: 40 } }] }),
    good: locality({ distribute: [{ from: 'a/*', to: { 'a/b/*': 50, 'a/c/*': 50 } }] }),
    at: `${at}/loadBalancer/localityLbSetting/distribute/0/to`,
  },
  'localities do not overlap': {
    bad: locality({ distribute: [{ from: 'a', to: { 'a/*': 50, 'a/b': 50 } }] }),
    good: locality({ distribute: [{ from: 'a', to: { 'a/c': 50, 'a/b': 50 } }] }),
    at: `${at}/loadBalancer/localityLbSetting/distribute/0/to/a~1b`,
  },
  'a locality has three parts at most': {
    bad: locality({ distribute: [{ from: 'a/b/c/d', to: { a: 100 } }] }),
    good: locality({ distribute: [{ from: 'a/b/c', to: { a: 100 } }] }),
    at: `${at}/loadBalancer/localityLbSetting/distribute/0/from`,
  },
  'a region does not fail over to itself': {
    bad: locality({ failover: [{ from: 'a', to: 'a' }] }),
    good: locality({ failover: [{ from: 'a', to: 'b' }] }),
    at: `${at}/loadBalancer/localityLbSetting/failover/0`,
  },
  'failover names regions alone': {
    bad: locality({ failover: [{ from: 'a', to: 'b/c' }] }),
    good: locality({ failover: [{ from: 'a', to: 'b' }] }),
    at: `${at}/loadBalancer/localityLbSetting/failover/0/to`,
  },
  'failover needs outlier detection': {
    bad: policy({ loadBalancer: { localityLbSetting: { failover: [{ from: 'a', to: 'b' }] } } }),
    good: locality({ failover: [{ from: 'a', to: 'b' }] }),
    at: `${at}/loadBalancer/localityLbSetting`,
    severity: 'warning',
  },
  'locality settings exclude zone settings': {
    bad: locality({ enabled: true }, { zoneAwareLbSetting: {} }),
    good: locality({ enabled: true }),
    at: `${at}/loadBalancer/zoneAwareLbSetting`,
  },
  'warmup has a duration': {
    bad: balancer({ warmup: {} }),
    good: balancer({ warmup: { duration: '1m' } }),
    at: `${at}/loadBalancer/warmup`,
  },
  'minimumPercent is a percentage': {
    bad: balancer({ warmup: { duration: '1m', minimumPercent: 101 } }),
    good: balancer({ warmup: { duration: '1m', minimumPercent: 100 } }),
    at: `${at}/loadBalancer/warmup/minimumPercent`,
  },
  'aggression is more than 0': {
    bad: balancer({ warmup: { duration: '1m', aggression: 0 } }),
    good: balancer({ warmup: { duration: '1m', aggression: 0.5 } }),
    at: `${at}/loadBalancer/warmup/aggression`,
  },
  'MUTUAL needs a certificate': {
    bad: tls({ mode: 'MUTUAL', privateKey: '/k' }),
    good: tls({ mode: 'MUTUAL', clientCertificate: '/c', privateKey: '/k' }),
    at: `${at}/tls`,
  },
  'MUTUAL takes a credential instead': {
    bad: tls({ mode: 'MUTUAL' }),
    good: tls({ mode: 'MUTUAL', credentialName: 'a' }),
    at: `${at}/tls`,
  },
  'a credential excludes files': {
    bad: tls({ mode: 'SIMPLE', credentialName: 'a', caCertificates: '/ca' }),
    good: tls({ mode: 'SIMPLE', caCertificates: '/ca' }),
    at: `${at}/tls/caCertificates`,
  },
  'insecureSkipVerify excludes a CA': {
    bad: tls({ mode: 'SIMPLE', insecureSkipVerify: true, caCertificates: '/ca' }),
    good: tls({ mode: 'SIMPLE', insecureSkipVerify: true }),
    at: `${at}/tls/caCertificates`,
  },
  'ISTIO_MUTUAL excludes files': {
    bad: tls({ mode: 'ISTIO_MUTUAL', privateKey: '/k' }),
    good: tls({ mode: 'ISTIO_MUTUAL', sni: 'a' }),
    at: `${at}/tls/privateKey`,
  },
  'a ConfigMap is of the own namespace': {
    bad: tls({ mode: 'SIMPLE', credentialName: 'configmap://other/ca' }),
    good: tls({ mode: 'SIMPLE', credentialName: 'configmap://shop/ca' }),
    at: `${at}/tls/credentialName`,
  },
  'proxyProtocol has a known version': {
    bad: policy({ proxyProtocol: { version: 'V3' } }),
    good: policy({ proxyProtocol: { version: 'V2' } }),
    at: `${at}/proxyProtocol/version`,
  },
  'a tunnel uses CONNECT or POST': {
    bad: policy({ tunnel: { protocol: 'GET', targetHost: 'a.com', targetPort: 1 } }),
    good: policy({ tunnel: { protocol: 'POST', targetHost: 'a.com', targetPort: 1 } }),
    at: `${at}/tunnel/protocol`,
  },
  'a tunnel leads to a host': {
    bad: policy({ tunnel: { targetHost: '*.com', targetPort: 1 } }),
    good: policy({ tunnel: { targetHost: '192.0.2.1', targetPort: 1 } }),
    at: `${at}/tunnel/targetHost`,
  },
  'a tunnel leads to a port': {
    bad: policy({ tunnel: { targetHost: 'a.com', targetPort: 0 } }),
    good: policy({ tunnel: { targetHost: 'a.com', targetPort: 1 } }),
    at: `${at}/tunnel/targetPort`,
  },
  'a rule for some workloads is not exported': {
    bad: spec({ workloadSelector: { matchLabels: { a: 'b' } }, exportTo: ['*'] }),
    good: spec({ workloadSelector: { matchLabels: { a: 'b' } }, exportTo: ['.'] }),
    at: '/spec/exportTo/0',
  },
  'a subset has the same rules': {
    bad: spec({ subsets: [{ name: 'a', trafficPolicy: {} }] }),
    good: spec({ subsets: [{ name: 'a', trafficPolicy: { tls: { mode: 'DISABLE' } } }] }),
    at: '/spec/subsets/0/trafficPolicy',
  },
}

testRules({ apiVersion: 'networking.istio.io/v1', kind: 'DestinationRule', cases })
