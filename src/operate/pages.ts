// The pages for whoever watches a party: is it alive, does it serve, its figures.
import { createServer, type IncomingMessage, type RequestListener, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { RingfenceError } from '../errors.js'
import { isLoopback } from '../net/loopback.js'

/** Where figures come from. */
export interface Figures {
  readonly contentType: string
  /** In Prometheus' format. */
  read(): Promise<string>
}

export interface PageOptions {
  /** Why nobody new can be served; empty when the party is ready. */
  problems: () => readonly string[]
  metrics: Figures
  /** A proxy is in front: nobody's address says anything. */
  behindProxy?: boolean
  /** Figures have an address of their own, and none here. */
  metricsElsewhere?: boolean
}

/** /healthz and /readyz for everybody; /metrics for callers on this machine, whom no proxy stands for. */
export function operatorPages(options: PageOptions): RequestListener {
  return (request, response) => {
    const path = request.url?.split('?', 1)[0]
    if (path === '/healthz') return text(response, 200, 'ok')
    if (path === '/readyz') return readiness(response, options.problems())
    if (path === '/metrics' && !options.metricsElsewhere && !options.behindProxy && isLocal(request)) {
      return void figures(response, options.metrics)
    }
    response.setHeader('Connection', 'Upgrade').setHeader('Upgrade', 'websocket')
    text(response, 426, 'This address speaks WebSocket.')
  }
}

export interface MetricsListener {
  readonly port: number
  close(): void
}

/**
 * All pages at an address of their own, without TLS: for a network that only operators reach.
 * @throws RingfenceError HOST when the address cannot be listened on
 */
export function listenForMetrics(host: string, port: number, options: PageOptions): Promise<MetricsListener> {
  const pages = operatorPages(options)
  const http = createServer((request, response) => {
    if (request.url?.split('?', 1)[0] === '/metrics') void figures(response, options.metrics)
    else pages(request, response)
  })
  return new Promise((resolve, reject) => {
    http.once('error', (cause: NodeJS.ErrnoException) => {
      const what = `cannot show figures on ${host} port ${port} (${cause.code})`
      reject(new RingfenceError('HOST', `${what}; choose a free port and an address of this machine`, [], { cause }))
    })
    http.listen(port, host.replace(/^\[|\]$/g, ''), () => {
      const close = () => {
        http.close()
        http.closeAllConnections()
      }
      resolve({ port: (http.address() as AddressInfo).port, close })
    })
  })
}

function readiness(response: ServerResponse, problems: readonly string[]): void {
  text(response, problems.length === 0 ? 200 : 503, problems.length === 0 ? 'ready' : problems.join('\n'))
}

async function figures(response: ServerResponse, { contentType, read }: Figures): Promise<void> {
  response.writeHead(200, { 'Content-Type': contentType }).end(await read())
}

function text(response: ServerResponse, status: number, body: string): void {
  response.writeHead(status, { 'Content-Type': 'text/plain; charset=utf-8', 'Cache-Control': 'no-store' })
  response.end(`${body}\n`)
}

const isLocal = ({ socket }: IncomingMessage): boolean =>
  isLoopback(socket.remoteAddress?.replace(/^::ffff:/, '') ?? '')
