// A small web server: the built page under a strict content security policy, its source, and what the page asks for.
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

/** What the page may do: run its own scripts and their WebAssembly, reach this site and the parties. */
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

/** A body of at most `most` bytes, or undefined. */
async function bodyOf(request, most) {
  const parts = []
  let size = 0
  for await (const part of request) {
    size += part.length
    if (size > most) return undefined
    parts.push(part)
  }
  return new Uint8Array(Buffer.concat(parts))
}

/**
 * @param folders `built`: the page; `source`: what it is made of, shown as text below /source
 * @param parties addresses the page may connect to
 * @param answers path → what the page is told there, as JSON, given the query
 * @param posts path → likewise, given the body, of at most `most` bytes, and the query
 */
export async function serve({ built, source }, parties, { answers, posts }, port) {
  const files = filesOf(built)
  const sources = filesOf(source)
  const headers = { 'content-security-policy': policy(parties), 'x-content-type-options': 'nosniff' }
  const server = createServer(async (request, response) => {
    const { pathname, searchParams } = new URL(request.url, 'http://site')
    const reply = (status, type, body) =>
      response.writeHead(status, { ...headers, 'content-type': type, 'cache-control': 'no-store' }).end(body)
    const file = files.get(pathname === '/' ? '/index.html' : pathname)
    const shown = sources.get(pathname.replace(/^\/source(?=\/)/, ''))
    const post = request.method === 'POST' && posts[pathname]
    if (post) {
      const body = await bodyOf(request, post.most).catch(() => undefined)
      const answer = body && post.answer(body, searchParams)
      if (answer) reply(200, 'application/json', JSON.stringify(answer))
      else reply(400, 'text/plain', 'this is no input of the network')
    } else if (request.method !== 'GET') reply(405, 'text/plain', 'GET only')
    else if (pathname.startsWith('/source/') && shown) reply(200, 'text/plain; charset=utf-8', readFileSync(shown))
    else if (answers[pathname]) reply(200, 'application/json', JSON.stringify(answers[pathname](searchParams)))
    else if (file) reply(200, TYPES[extname(file)] ?? 'application/octet-stream', readFileSync(file))
    else reply(404, 'text/plain', 'not found')
  })
  await new Promise((resolve, reject) => server.once('error', reject).listen(port, '127.0.0.1', resolve))
  return `http://127.0.0.1:${server.address().port}/`
}
