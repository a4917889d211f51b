/** A worker process: it serves what the primary tells it, and ends when the primary does. */
import { flushCompileCache } from 'node:module'
import { createLogger } from '../observability/logger.ts'
import { DataPlane } from './data-plane.ts'
import type { FromWorker, ToWorker } from './messages.ts'
import { Pieces } from './pieces.ts'

const send = (message: FromWorker) => process.send?.(message)

let plane: DataPlane | null = null
const pieces = new Pieces()
let isFirst = true
let log = createLogger()
/** Messages are carried out one after the other: an update is never applied over a half-applied one. */
let queue: Promise<void> = Promise.resolve()

process.on('message', (message: ToWorker) => {
  if (message.type === 'stats') {
    // Answered at once: a scrape must not wait for a listener to open.
    if (plane !== null) send({ type: 'stats', id: message.id, stats: plane.stats() })
    return
  }
  if (message.type === 'challenges' && plane !== null) {
    // Nor must an authority: a plan of many listeners may take longer than it waits.
    answerChallenges(plane, message)
    return
  }
  queue = queue
    .then(() => carryOut(message))
    .catch((error: unknown) => {
      log.error({ err: error }, 'worker could not carry out what it was told')
    })
})

// The primary decides when a worker ends; a terminal's Ctrl-C reaches the whole process group.
process.on('SIGINT', () => {})
process.on('SIGTERM', () => {})
process.on('SIGHUP', () => {})
process.on('disconnect', () => {
  process.exit(1)
})

function answerChallenges(to: DataPlane, { id, answers }: Extract<ToWorker, { readonly type: 'challenges' }>): void {
  to.setChallenges(answers)
  send({ type: 'challenges-answered', id })
}

async function carryOut(message: ToWorker): Promise<void> {
  switch (message.type) {
    case 'start':
      log = createLogger({ level: message.settings.logLevel, fields: { worker: process.pid } })
      plane = new DataPlane(message.settings, log, undefined, (source) => {
        send({ type: 'want-keys', source })
      })
      return
    case 'parts':
      pieces.add(message)
      return
    case 'apply': {
      const { generation } = message
      try {
        const listeners = await plane!.apply(pieces.join(message))
        // Node does this at the exit otherwise, where it is waited for; later it would hold requests up.
        if (isFirst) flushCompileCache()
        isFirst = false
        send({ type: 'applied', generation, listeners })
        const proofs = await plane!.prove()
        if (proofs !== null) send({ type: 'proofs', generation, proofs })
      } catch (error) {
        // Without an answer the primary would wait for this worker, and take no other change.
        send({ type: 'not-applied', generation, reason: (error as Error).message })
        throw error
      }
      return
    }
    case 'key-set':
      plane?.takeKeySet(message.source, message.keySet)
      return
    case 'identity':
      plane?.setIdentity(message.certificate)
      return
    case 'ticket-keys':
      plane?.setTicketKeys(message.keys)
      return
    case 'challenges':
      answerChallenges(plane!, message)
      return
    case 'log-level':
      log.level = message.level
      return
    case 'reopen-logs':
      plane?.reopenLogs()
      return
    case 'drain':
      await plane?.drain()
      process.exit(0)
  }
}
