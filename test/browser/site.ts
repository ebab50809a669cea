// A web site under a strict content security policy, the parties behind it, and a browser in front of it.

import { existsSync, readFileSync } from 'node:fs'
import { createServer, type Server as HttpServer } from 'node:http'
import { extname, join } from 'node:path'
import { type Browser, chromium } from 'playwright-core'
import { loadModelDirectory } from '../../src/files/model-directory.js'
import { type Listener, listen } from '../../src/net/websocket-server.node.js'
import { Helper } from '../../src/party/helper/helper.js'
import { Server } from '../../src/party/server.js'
import { type Compiled, type CompileOptions, compile } from '../../src/plan/compile/compile.js'
import { AUDIT, localParties } from '../../src/testing.js'
import { modelFolder } from '../fixtures/reference-files.js'

/** Debian's Chromium, or what CHROMIUM names. */
export const CHROMIUM = process.env.CHROMIUM ?? '/usr/bin/chromium'
export const hasChromium = existsSync(CHROMIUM)

export const launch = (): Promise<Browser> =>
  chromium.launch({ executablePath: CHROMIUM, args: ['--no-sandbox', '--disable-dev-shm-usage'] })

const TYPES: Readonly<Record<string, string>> = { '.html': 'text/html', '.js': 'text/javascript', '.css': 'text/css' }

/** Serves a folder; `connectTo` are the only endpoints its pages may reach. */
export async function serveFolder(
  folder: string,
  connectTo: readonly string[],
): Promise<{ url: string; close(): void }> {
  const policy = `script-src 'self' 'wasm-unsafe-eval'; connect-src ${connectTo.join(' ')}`
  const server: HttpServer = createServer((request, response) => {
    const path = new URL(request.url!, 'http://site').pathname
    const file = join(folder, path === '/' ? 'index.html' : path)
    if (!existsSync(file)) {
      response.writeHead(404).end()
      return
    }
    const type = TYPES[extname(file)] ?? 'application/octet-stream'
    response.writeHead(200, { 'content-type': type, 'content-security-policy': policy }).end(readFileSync(file))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as { port: number }
  return { url: `http://127.0.0.1:${port}/`, close: () => void server.close() }
}

const LOOPBACK = { host: '127.0.0.1', port: 0 }

export interface Parties {
  readonly server: Listener
  readonly helper: Listener
  readonly compiled: Compiled
  /** The server's seeds with the helper, by session in hexadecimal. */
  readonly sessions: ReadonlyMap<string, Uint8Array>
  /** Logits of a client in this process. */
  reference(input: Float32Array): Promise<Float32Array>
  stopServer(): Promise<void>
  close(): Promise<void>
}

/** Server and helper for a packaged model, each behind a WebSocket. */
export async function partiesFor(model: string, options: CompileOptions = {}): Promise<Parties> {
  const path = modelFolder(model)
  const { arch, weights, calibration, spec } = await loadModelDirectory(path)
  const compiled = compile(arch, weights, calibration!, spec, options)
  const helper = await Helper.create()
  const helperAt = await listen({ ...LOOPBACK, onConnection: (channel) => void helper.run(channel) })
  const { connect } = await import('../../src/net/index.js')
  const sessions = new Map<string, Uint8Array>()
  const server = await Server.create(compiled, () => connect(helperAt.url), {
    [AUDIT]: ({ session, seed }) => sessions.set(Buffer.from(session).toString('hex'), seed),
  })
  const serverAt = await listen({ ...LOOPBACK, onConnection: (channel) => void server.run(channel) })
  return {
    server: serverAt,
    helper: helperAt,
    compiled,
    sessions,
    async reference(input) {
      const local = await localParties(compiled)
      const { logits } = await local.client.run(input)
      await local.release()
      return logits
    },
    stopServer: () => server.release(),
    async close() {
      await server.release()
      await helper.release()
      await serverAt.close()
      await helperAt.close()
    },
  }
}
