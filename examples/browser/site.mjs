// A small web server: the built page under a strict content security policy, and two addresses the page asks.
import { readdirSync, readFileSync, statSync } from 'node:fs'
import { createServer } from 'node:http'
import { extname, join, relative, sep } from 'node:path'

const TYPES = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.png': 'image/png',
  '.svg': 'image/svg+xml',
}

/** What the page may do: run its own scripts and their WebAssembly, reach this site and the two parties. */
const policy = (parties) =>
  [
    "default-src 'none'",
    "script-src 'self' 'wasm-unsafe-eval'",
    "worker-src 'self'",
    "style-src 'self'",
    "img-src 'self'",
    `connect-src 'self' ${parties.join(' ')}`,
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
  ].join('; ')

/** Every file below a folder, by the path it is asked for. */
function filesOf(folder) {
  const paths = readdirSync(folder, { recursive: true }).map((name) => join(folder, name))
  const files = paths.filter((path) => statSync(path).isFile())
  return new Map(files.map((path) => [`/${relative(folder, path).split(sep).join('/')}`, path]))
}

/**
 * @param folder the built page
 * @param parties WebSocket addresses the page may connect to
 * @param answers path → what the page is told there, as JSON, given the query
 */
export async function serve(folder, parties, answers, port) {
  const files = filesOf(folder)
  const headers = { 'content-security-policy': policy(parties), 'x-content-type-options': 'nosniff' }
  const server = createServer((request, response) => {
    const { pathname, searchParams } = new URL(request.url, 'http://site')
    const reply = (status, type, body) =>
      response.writeHead(status, { ...headers, 'content-type': type, 'cache-control': 'no-store' }).end(body)
    const file = files.get(pathname === '/' ? '/index.html' : pathname)
    if (request.method !== 'GET') reply(405, 'text/plain', 'GET only')
    else if (answers[pathname]) reply(200, 'application/json', JSON.stringify(answers[pathname](searchParams)))
    else if (file) reply(200, TYPES[extname(file)] ?? 'application/octet-stream', readFileSync(file))
    else reply(404, 'text/plain', 'not found')
  })
  await new Promise((resolve, reject) => server.once('error', reject).listen(port, '127.0.0.1', resolve))
  return `http://127.0.0.1:${server.address().port}/`
}
