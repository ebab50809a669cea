// `npm run example:browser [-- --port N --json]`: builds the page, starts helper, delegate and server as processes of
// their own, serves the page.
import { fork } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { runFloat } from 'ringfence/plan'
import { build } from 'vite'
import { chosen, models } from './models.mjs'
import { serve } from './site.mjs'
import config, { outDir } from './vite.config.mjs'

const { values } = parseArgs({ options: { port: { type: 'string', default: '7700' }, json: { type: 'boolean' } } })
const VIEWERS = 50

/** What the parties received from each viewer, for that viewer. The newest viewers last. */
const seen = new Map()

function note({ viewer, ...news }) {
  if (!viewer) return
  const before = seen.get(viewer)
  seen.delete(viewer)
  seen.set(viewer, { ...before, ...news })
  if (seen.size > VIEWERS) seen.delete(seen.keys().next().value)
}

/** Starts a party; resolves once it listens. */
function start(role, ...args) {
  const file = fileURLToPath(new URL(`./${role}.mjs`, import.meta.url))
  const child = fork(file, args, { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] })
  return new Promise((resolve, reject) => {
    const ended = () => reject(new Error(`the ${role} could not be started`))
    child.once('exit', ended)
    child.once('message', (told) => {
      child.off('exit', ended)
      child.on('message', note)
      child.once('exit', () => {
        const file = ['node', `examples/browser/${role}.mjs`, ...args, new URL(told.url).port].join(' ')
        const again = role === 'delegate' ? 'npm run example:browser' : file // its key goes with it
        console.error(`The ${role} (process ${child.pid}) has ended. To start it again: ${again}`)
      })
      resolve({ ...told, pid: child.pid, child })
    })
  })
}

/** Lets the delegate begin; resolves once it is connected. */
function begin({ child }, order) {
  child.send(order)
  return new Promise((resolve, reject) => {
    child.once('exit', () => reject(new Error('the delegate could not begin')))
    child.on('message', ({ ready }) => ready && resolve())
  })
}

/** The same networks without any privacy, for who wants to compare: whoever asks here shows his picture. */
const bytesOf = ({ arch }) => 4 * arch.inputs[0].shape.reduce((product, size) => product * size, 1)
const plain = {
  most: Math.max(...[...models.values()].map(bytesOf)),
  answer(body, query) {
    const model = chosen(query, models)
    if (body.length !== bytesOf(model)) return undefined
    const input = new Float32Array(body.buffer, body.byteOffset, body.length / 4)
    const started = performance.now()
    const logits = [...runFloat(model.arch, model.weights, model.spec, input)]
    return { logits, milliseconds: performance.now() - started }
  },
}

await build(config)
const helper = await start('helper')
const delegate = await start('delegate', helper.url)
const server = await start('server', helper.url, delegate.key)
await begin(delegate, { server: server.url, models: [...models.keys()] })
const overHttp = ({ url }) => url.replace('ws:', 'http:')
const parties = {
  ...{ server: server.url, helper: helper.url, models: [...models.keys()] },
  delegated: { server: overHttp(server), delegate: overHttp(delegate), key: delegate.key },
}
const reachable = [server.url, helper.url, parties.delegated.server, parties.delegated.delegate]
const answers = {
  '/parties': () => parties,
  '/seen': (query) => seen.get(query.get('viewer')) ?? {},
}
const page = { built: outDir, source: fileURLToPath(new URL('.', import.meta.url)) }
const site = (port) => serve(page, reachable, { answers, posts: { '/plain': plain } }, port)
const url = await site(Number(values.port)).catch((error) => {
  if (error.code !== 'EADDRINUSE') throw error
  return site(0)
})
const shown = ({ url: at, pid }) => ({ url: at, pid })
const { key } = delegate
if (values.json) {
  console.log(JSON.stringify({ url, server: shown(server), helper: shown(helper), delegate: shown(delegate), key }))
} else {
  console.log(`helper    process ${helper.pid}  ${helper.url}`)
  console.log(`delegate  process ${delegate.pid}  ${delegate.url}`)
  console.log(`server    process ${server.pid}  ${server.url}`)
  console.log(`page      ${url}  (Ctrl-C ends all four)`)
}
