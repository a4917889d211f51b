/**
 * One CONNECT tunnel, from its dial to its end. The address that was judged is dialled before the client is answered,
 * so that it learns what went wrong; what the client says first passes the gate before anything of it leaves.
 */
import { connect, type OnReadOpts, type Socket } from 'node:net'
import type { ConnectRequest } from '../exchange/connect-request.ts'
import type { Exchange } from '../exchange/exchange.ts'
import type { LocalReply } from '../exchange/local-reply.ts'
import { NO_HEALTHY_UPSTREAM, OVERFLOW, resetFlag, resetReply } from '../forwarding/failure.ts'
import { formatTarget } from '../lib/target.ts'
import { connectFailure } from '../upstreams/connect-failure.ts'
import type { Endpoint } from '../upstreams/endpoint.ts'
import { socketAddress } from '../upstreams/socket-address.ts'
import type { Destination, OpenTunnel } from './destinations.ts'
import { ReadBuffer } from './read-buffer.ts'
import { openThroughProxy } from './through-proxy.ts'
import { type GateRefusal, type GateRules, TunnelGate } from './tunnel-gate.ts'

export interface TunnelOptions {
  readonly gate: GateRules
  /** Time for a client on a TLS port to say its ClientHello, in ms. */
  readonly helloTimeoutMs: number
  /** Without a byte for so long the tunnel is closed; null: never. */
  readonly idleTimeoutMs: number | null
  /** Told once, when the tunnel is over, whether it ever stood or not. */
  readonly onEnd: () => void
  /** What the client said first was not let through. */
  readonly onRefused: (reason: GateRefusal) => void
  /** The server name that the client asked for. */
  readonly onServerName: (name: string) => void
}

/** Endpoints that are tried, one after the other, before the client is told that it does not work. */
const MAX_TRIES = 3

/** Why a tunnel ended, for the log; `termination` where one of the sides ended it properly. */
type Ending = 'closed' | 'idle' | 'revoked' | 'reset' | 'hello-timeout' | GateRefusal

export class Tunnel implements OpenTunnel {
  readonly #request: ConnectRequest
  readonly #destination: Destination
  readonly #options: TunnelOptions
  readonly #exchange: Exchange
  #upstream: Socket | null = null
  #endpoint: Endpoint | null = null
  readonly #tried: Endpoint[] = []
  #gate: TunnelGate | null = null
  /** What the client said while the gate holds it. Bound: the longest ClientHello. */
  #held: Buffer[] = []
  #connectTimer: NodeJS.Timeout | null = null
  #helloTimer: NodeJS.Timeout | null = null
  #accepted = false
  #over = false

  constructor(request: ConnectRequest, destination: Destination, options: TunnelOptions) {
    this.#request = request
    this.#destination = destination
    this.#options = options
    this.#exchange = request.exchange
  }

  start(): void {
    const { cluster, tunnels } = this.#destination
    const { circuitBreakers } = cluster.plan
    if (tunnels.size >= (circuitBreakers?.maxConnections ?? Number.POSITIVE_INFINITY)) {
      this.#fail(OVERFLOW)
      return
    }
    tunnels.add(this)
    this.#exchange.onClientGone = () => {
      this.#end('closed')
    }
    this.#dial()
  }

  revoke(): void {
    this.#end('revoked')
  }

  #dial(): void {
    const { cluster, via, goal } = this.#destination
    const exchange = this.#exchange
    const endpoint = cluster.pick(null, this.#tried)
    if (endpoint === null) {
      this.#fail(NO_HEALTHY_UPSTREAM)
      return
    }
    this.#endpoint = endpoint
    this.#tried.push(endpoint)
    endpoint.active++
    endpoint.total++
    exchange.upstream.attempts++
    exchange.upstream.endpoint = endpoint.key
    exchange.upstream.endpointLabels = endpoint.plan.labels ?? null
    const socket = connect({
      ...socketAddress(endpoint.plan),
      allowHalfOpen: true,
      noDelay: true,
      // Another proxy's answer is read in the usual way first.
      ...(via === null ? { onread: this.#readInto() } : {}),
    })
    this.#upstream = socket
    let failure: Error | null = null
    this.#connectTimer = setTimeout(() => {
      failure = Object.assign(new Error('connect timeout'), { code: 'ETIMEDOUT' })
      socket.destroy()
    }, cluster.plan.connectTimeoutMs)
    socket.on('error', (error) => {
      failure ??= error
    })
    socket.once('close', () => {
      if (this.#upstream === socket) this.#onUpstreamClosed(failure)
    })
    socket.once('connect', () => {
      if (via === null) this.#onConnected(socket)
      else {
        openThroughProxy(socket, formatTarget(goal), via.authorization, (error) => {
          if (error === null) this.#onConnected(socket)
          else {
            failure = error
            socket.destroy()
          }
        })
      }
    })
  }

  /** What comes from upstream, into the same memory as long as the client takes it at once. */
  #readInto(): OnReadOpts {
    const { socket: client } = this.#request
    const { throttle } = this.#destination
    const exchange = this.#exchange
    const memory = new ReadBuffer()
    return {
      buffer: memory.next,
      callback: (length, buffer) => {
        exchange.bytesSent += length
        const goOn = client.write(length === buffer.length ? buffer : buffer.subarray(0, length))
        // Nothing waits: the kernel has taken it all.
        memory.used(length, client.writableLength === 0)
        const waitMs = throttle === null ? 0 : throttle.take('down', length)
        if (waitMs > 0) this.#resumeLater(waitMs)
        return goOn && waitMs === 0
      },
    }
  }

  #resumeLater(delayMs: number): void {
    setTimeout(() => this.#upstream?.resume(), delayMs).unref()
  }

  /** Before the tunnel stands another endpoint may do; afterwards it is over. */
  #onUpstreamClosed(failure: Error | null): void {
    if (this.#accepted) {
      this.#end(failure === null ? 'closed' : 'reset')
      return
    }
    if (this.#over) return
    const { cluster } = this.#destination
    const { upstream } = this.#exchange
    const [reason, detail] = connectFailure(this.#upstream!, failure)
    upstream.failureReason = failure?.message ?? ''
    cluster.onLocalFailure(this.#endpoint!)
    this.#endpoint!.connectFailures++
    this.#release()
    const more = [...cluster.endpoints].some((endpoint) => !this.#tried.includes(endpoint))
    if (more && this.#tried.length < MAX_TRIES) {
      this.#dial()
      return
    }
    const { body: _body, ...reply } = resetReply(reason, detail, this.#tried.length > 1)
    this.#fail({ ...reply, flag: resetFlag(reason), body: `the tunnel cannot be opened: ${detail || reason}` })
  }

  #onConnected(socket: Socket): void {
    if (this.#connectTimer !== null) clearTimeout(this.#connectTimer)
    this.#connectTimer = null
    const { socket: client } = this.#request
    const { idleTimeoutMs, gate, helloTimeoutMs } = this.#options
    this.#exchange.upstreamStartMono = performance.now()
    this.#accepted = true
    this.#exchange.details = 'via_upstream'
    this.#request.accept()
    if (idleTimeoutMs !== null) {
      // Bytes of both directions pass the client's socket, so its timer sees them all.
      client.setTimeout(idleTimeoutMs, () => {
        this.#end('idle')
      })
    }
    this.#gate = new TunnelGate(gate)
    if (gate.tls && gate.isOwnName !== null) {
      this.#helloTimer = setTimeout(() => {
        // Whoever has said nothing at all may be a client that waits for the server.
        this.#end('hello-timeout')
      }, helloTimeoutMs)
    }
    this.#pipeDown(client, socket)
    client.on('data', this.#onFirstBytes)
    client.on('end', this.#onClientEnd)
    client.resume()
    socket.resume()
  }

  readonly #onFirstBytes = (bytes: Buffer): void => {
    const gate = this.#gate!
    this.#held.push(bytes)
    const state = gate.push(bytes)
    if (state.kind === 'hold') {
      if (gate.held && this.#helloTimer === null) this.#startHelloTimer()
      return
    }
    if (gate.serverName !== '') this.#options.onServerName(gate.serverName)
    if (state.kind === 'refuse') {
      this.#options.onRefused(state.reason)
      this.#end(state.reason)
      return
    }
    this.#openUp()
  }

  /** On other ports the clock runs once a ClientHello has begun. */
  #startHelloTimer(): void {
    this.#helloTimer = setTimeout(() => {
      this.#end('hello-timeout')
    }, this.#options.helloTimeoutMs)
  }

  readonly #onClientEnd = (): void => {
    // Half a ClientHello is of no use to anybody, and without one nothing leaves.
    if (this.#gate !== null && this.#held.length > 0) this.#end('closed')
    else this.#upstream?.end()
  }

  /** The gate is passed: what was held goes out, and what follows is only counted. */
  #openUp(): void {
    const { socket: client } = this.#request
    const upstream = this.#upstream!
    const exchange = this.#exchange
    const { throttle } = this.#destination
    const held = this.#held
    this.#gate = null
    this.#held = []
    if (this.#helloTimer !== null) clearTimeout(this.#helloTimer)
    this.#helloTimer = null
    client.off('data', this.#onFirstBytes)
    for (const bytes of held) {
      exchange.bytesReceived += bytes.length
      upstream.write(bytes)
    }
    upstream.on('drain', () => client.resume())
    client.on('data', (bytes: Buffer) => {
      exchange.bytesReceived += bytes.length
      if (!upstream.write(bytes)) client.pause()
      if (throttle !== null) slow(client, throttle.take('up', bytes.length))
    })
  }

  #pipeDown(client: Socket, upstream: Socket): void {
    const exchange = this.#exchange
    const { throttle } = this.#destination
    client.on('drain', () => upstream.resume())
    upstream.on('end', () => client.end())
    if (this.#destination.via === null) return
    upstream.on('data', (bytes: Buffer) => {
      exchange.bytesSent += bytes.length
      if (!client.write(bytes)) upstream.pause()
      if (throttle !== null) slow(upstream, throttle.take('down', bytes.length))
    })
  }

  #fail(reply: LocalReply): void {
    if (this.#over) return
    this.#over = true
    this.#release()
    this.#destination.tunnels.delete(this)
    this.#exchange.onClientGone = null
    this.#request.refuse(reply)
    this.#options.onEnd()
  }

  #end(why: Ending): void {
    if (this.#over) return
    this.#over = true
    const { socket: client } = this.#request
    if (this.#helloTimer !== null) clearTimeout(this.#helloTimer)
    const upstream = this.#upstream
    this.#release()
    this.#destination.tunnels.delete(this)
    this.#exchange.onClientGone = null
    if (why !== 'closed') this.#exchange.details = `egress_tunnel_${why.replaceAll('-', '_')}`
    if (why === 'reset') this.#exchange.addFlag('UC')
    if (why === 'idle') this.#exchange.addFlag('SI')
    // What the upstream said last may still be on its way to a client that has ended its own side.
    if (why === 'closed' && !client.destroyed) client.destroySoon()
    else client.destroy()
    upstream?.destroy()
    this.#options.onEnd()
  }

  #release(): void {
    if (this.#connectTimer !== null) clearTimeout(this.#connectTimer)
    this.#connectTimer = null
    if (this.#endpoint !== null) this.#endpoint.active--
    this.#endpoint = null
    const upstream = this.#upstream
    this.#upstream = null
    if (upstream !== null && !this.#accepted) upstream.destroy()
  }
}

/** Reads nothing more for a while. Whoever is paused for another reason too is resumed too early, at most once. */
function slow(socket: Socket, delayMs: number): void {
  if (delayMs === 0) return
  socket.pause()
  setTimeout(() => socket.resume(), delayMs).unref()
}
