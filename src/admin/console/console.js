/**
 * The console: reads the admin API's JSON every few seconds and shows it as tables. Everything is put into the page as
 * text nodes, never as HTML: names and messages come from resources that others wrote.
 */

const REFRESH_MS = 5000
/** Rows shown of a long table; the filter finds the others. */
const MAX_ROWS = 500
const LEVELS = ['error', 'warn', 'info', 'debug', 'trace']

const VIEWS = {
  overview: { paths: ['/status'], render: overview },
  listeners: { paths: ['/listeners'], render: ([body]) => [table(LISTENERS, body.listeners)] },
  routes: { paths: ['/routes'], render: ([body]) => [table(ROUTES, body.routes)] },
  clusters: { paths: ['/clusters'], render: ([body]) => [table(CLUSTERS, body.clusters.flatMap(endpointRows))] },
  certificates: { paths: ['/certs'], render: ([body]) => [table(CERTIFICATES, body.certificates)] },
}

const LISTENERS = {
  name: (it) => it.name,
  port: (it) => it.port,
  'bound to': (it) => it.address ?? '-',
  state: (it) => (it.up ? good('listening') : bad(it.errors.join('; ') || 'not bound')),
  kind: (it) => it.kind,
  'route tables': (it) => it.routeTables.join(', '),
  hosts: (it) => summary(it.hosts),
}

const ROUTES = {
  listener: (it) => it.listeners.join(', '),
  host: (it) => it.host,
  '#': (it) => it.position,
  match: (it) => it.match,
  action: (it) => it.action,
  name: (it) => it.name || '-',
  from: (it) => originText(it.origin),
}

const CLUSTERS = {
  cluster: (it) => it.cluster,
  endpoint: (it) => it.address,
  health: (it) => (it.health === 'ejected' ? bad('ejected') : it.health === 'healthy' ? good('healthy') : it.health),
  weight: (it) => it.weight,
  connections: (it) => it.connections,
  active: (it) => it.activeRequests,
  requests: (it) => it.requests,
  failures: (it) => it.connectFailures,
  transport: (it) => it.transport,
}

const CERTIFICATES = {
  name: (it) => it.name,
  names: (it) => it.subjectAltNames?.join(', ') || it.subject || '-',
  until: (it) => it.notAfter?.slice(0, 10) ?? '-',
  'days left': (it) =>
    it.error ? bad(it.error) : it.daysLeft < 0 ? bad('expired') : it.daysLeft < 21 ? warn(it.daysLeft) : it.daysLeft,
  issuer: (it) => it.issuer ?? '-',
  'used by': (it) => it.usedBy.join(', ') || '-',
}

const PROBLEMS = {
  severity: (it) =>
    it.severity === 'error' ? bad('error') : it.severity === 'warning' ? warn('warning') : it.severity,
  object: (it) => originText(it.origin),
  problem: (it) => [it.message, it.remedy].filter(Boolean).join(' '),
  where: (it) => place(it.origin),
  code: (it) => [it.code, it.istioCode].filter(Boolean).join(', '),
}

const WORKERS = {
  worker: (it) => it.id,
  pid: (it) => it.pid ?? '-',
  generation: (it) => it.generation,
  restarts: (it) => it.restarts,
}

const POLICIES = {
  policy: (it) => `${it.kind} ${it.namespace}/${it.name}`,
  state: (it) => (it.state === 'proven' ? good('proven') : it.state === 'failed' ? bad('failed') : it.state),
  because: (it) => it.because,
}

const SOURCES = {
  source: (it) => it.name,
  objects: (it) => it.objects,
  read: (it) => (it.readAt === null ? '-' : new Date(it.readAt).toLocaleString()),
  state: (it) => (it.error === null ? good('read') : bad(it.error)),
}

const view = document.getElementById('view')
const filter = document.getElementById('filter')
const level = document.getElementById('level')
/** The newest answers of the view that is shown; null while they are on their way. */
let shown = null

window.addEventListener('hashchange', () => {
  shown = null
  filter.value = ''
  void refresh()
})
filter.addEventListener('input', draw)
level.addEventListener('change', () => {
  void setLevel(level.value)
})
setInterval(() => {
  if (!document.hidden) void refresh()
}, REFRESH_MS)
void refresh()

function currentView() {
  const name = location.hash.slice(1)
  return Object.hasOwn(VIEWS, name) ? name : 'overview'
}

async function refresh() {
  const name = currentView()
  try {
    const [status, ...bodies] = await Promise.all(['/status', ...VIEWS[name].paths].map(readJson))
    if (name !== currentView()) return
    shown = { name, bodies }
    showStatus(status)
    draw()
  } catch (error) {
    showSummary(bad(`The gateway does not answer: ${error.message}`))
  }
}

async function setLevel(name) {
  await fetch(`/logging?level=${encodeURIComponent(name)}`, { method: 'POST' })
  await refresh()
}

async function readJson(path) {
  const response = await fetch(path)
  if (!response.ok) throw new Error(`${path} answered ${response.status}`)
  return response.json()
}

function draw() {
  if (shown === null) return
  for (const link of document.querySelectorAll('nav a')) {
    if (link.getAttribute('href') === `#${shown.name}`) link.setAttribute('aria-current', 'page')
    else link.removeAttribute('aria-current')
  }
  document.getElementById('count').textContent = ''
  view.replaceChildren(...VIEWS[shown.name].render(shown.bodies))
}

function showStatus(status) {
  const state =
    status.closedBy.length > 0 ? bad('closed by a policy') : status.ready ? good('ready') : warn('not ready')
  const step = status.inStep ? good('in step with its sources') : warn('not in step with its sources')
  showSummary(state, ` · ${status.configuration} · `, step, ` · version ${status.version}`)
  if (document.activeElement === level) return
  const levels = LEVELS.includes(status.logLevel) ? LEVELS : [status.logLevel, ...LEVELS]
  level.replaceChildren(...levels.map((name) => new Option(name, name, false, name === status.logLevel)))
  level.disabled = false
}

function showSummary(...content) {
  document.getElementById('summary').replaceChildren(...content)
}

function overview([status]) {
  const problems = [...status.rejected.flatMap((object) => object.problems), ...status.warnings]
  return [
    element('div', 'tiles', [
      tile(status.generation, 'generation'),
      tile(status.workers.length, 'workers'),
      tile(count(status.rejected.length), 'rejected objects'),
      tile(count(status.listenersDown.length), 'listeners down'),
      tile(status.warnings.length, 'warnings'),
    ]),
    heading('Problems'),
    table(PROBLEMS, problems),
    heading('Security policies'),
    table(POLICIES, status.policies),
    heading('Sources'),
    table(SOURCES, status.sources),
    heading('Workers'),
    table(WORKERS, status.workers),
  ]
}

function endpointRows(cluster) {
  if (cluster.endpoints.length === 0) return [{ cluster: cluster.name, address: 'none', transport: cluster.transport }]
  return cluster.endpoints.map((endpoint) => ({ ...endpoint, cluster: cluster.name, transport: cluster.transport }))
}

/** A table of items; columns are functions from an item to text or an element. Long tables are cut. */
function table(columns, items) {
  const wanted = filter.value.trim().toLowerCase()
  const rows = []
  for (const item of items) {
    const cells = Object.values(columns).map((column) => element('td', '', [content(column(item))]))
    if (wanted !== '' && !cells.some((cell) => cell.textContent.toLowerCase().includes(wanted))) continue
    if (rows.length === MAX_ROWS) {
      document.getElementById('count').textContent = `the first ${MAX_ROWS} rows; filter to see others`
      break
    }
    rows.push(element('tr', '', cells))
  }
  if (rows.length === 0) return element('p', 'empty', [items.length === 0 ? 'None.' : 'No row matches the filter.'])
  const names = Object.keys(columns).map((name) => element('th', '', [name]))
  const head = element('thead', '', [element('tr', '', names)])
  return element('div', 'scroll', [element('table', '', [head, element('tbody', '', rows)])])
}

function content(value) {
  return value instanceof Node ? value : String(value ?? '-')
}

function element(tag, className, children) {
  const made = document.createElement(tag)
  if (className !== '') made.className = className
  made.append(...children)
  return made
}

function heading(text) {
  return element('h2', '', [text])
}

function tile(value, label) {
  return element('div', 'tile', [element('b', '', [content(value)]), element('span', '', [label])])
}

function count(number) {
  return number === 0 ? good('0') : bad(number)
}

function good(text) {
  return element('span', 'good', [String(text)])
}

function bad(text) {
  return element('span', 'bad', [String(text)])
}

function warn(text) {
  return element('span', 'warn', [String(text)])
}

function summary(list) {
  return list.length <= 5 ? list.join(', ') || '-' : `${list.slice(0, 5).join(', ')} and ${list.length - 5} more`
}

function originText({ kind, namespace, name, pointer = '' }) {
  return name === '' ? '-' : `${kind} ${namespace}/${name}${pointer}`
}

function place({ source, line }) {
  return source === undefined ? '-' : line === undefined ? source : `${source}:${line}`
}
