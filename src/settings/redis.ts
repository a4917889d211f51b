/** The `redis:` part of `sluice.yaml`: where gateways share what they count. */
import type { Static } from 'typebox'
import { duration, flag, group, optionalText, text } from './fields.ts'
import { addresses, secretText, secretUrl } from './special.ts'

export const redisSchema = group(
  'State that several gateways share: rate limits. Redis 6 or newer, or Valkey. See [rate-limits.md](rate-limits.md#redis).',
  {
    url: secretUrl(
      'Redis server, `redis://[USER:PASSWORD@]HOST[:PORT][/DATABASE]`, with TLS `rediss://`; without it, and without `sentinels`, each gateway counts for itself.',
      ['redis:', 'rediss:'],
      { flag: '--redis URL', env: 'SLUICE_REDIS' },
    ),
    timeout: duration(
      'Longest wait for one answer of Redis. Beyond it a limit goes by its `whenStoreFails`.',
      20,
      '20ms',
      { ms: 1, text: '1ms' },
    ),
    username: text('User, where the URL does not name one.', ''),
    password: secretText('Password, where the URL does not hold one.'),
    cluster: flag('The server of `url` is a node of a Redis Cluster.', false),
    nodes: addresses('`cluster`: further nodes to begin with.', 6379),
    sentinels: addresses(
      'Sentinels that know which server is the primary. Of `url` only the credentials, the database and whether there is TLS count then.',
      26_379,
    ),
    sentinelName: text('`sentinels`: the name that they have for the primary.', 'mymaster'),
    sentinelUsername: text('`sentinels`: user.', ''),
    sentinelPassword: secretText('`sentinels`: password.'),
    caFile: optionalText(
      "`rediss://`: PEM authorities that the server's certificate is verified with.",
      'the well-known ones',
    ),
    certificateFile: optionalText('`rediss://`: PEM certificate of this gateway.', 'none'),
    privateKeyFile: optionalText('`rediss://`: its key.', 'none'),
    serverName: optionalText("`rediss://`: the name that the server's certificate has to be for.", 'the host'),
    keyPrefix: text('Begins every key.', 'sluice:rl:'),
  },
)

/** Whether gateways have a Redis to share. */
export function hasRedis({ url, sentinels }: Pick<Static<typeof redisSchema>, 'url' | 'sentinels'>): boolean {
  return url !== null || sentinels.length > 0
}
