// `ringfence doctor`: what this host can do and whether the parties can be reached, in sentences.
import { stat } from 'node:fs/promises'
import { diagnose, type Finding } from '../../party/diagnose.js'
import type { Command } from '../terminal/arguments.js'
import { columnsOf, nextCommand, type Paint, painter, quoted, wrapped } from '../terminal/terminal.js'

const OLDEST_NODE = [20, 19] as const

export const doctor: Command = {
  name: 'doctor',
  summary: 'Tell what this host can do, and whether server and helper can be reached from it.',
  flags: {
    server: { type: 'string', valueHint: 'URL', description: 'a server to reach' },
    helper: { type: 'string', valueHint: 'URL', description: 'a helper to reach; with both, a handshake is tried' },
  },
  notes: ['The exit status is 1 when something failed; warnings do not count.'],
  async run(flags) {
    const [server, helper] = [flags.text('server'), flags.text('helper')]
    flags.check()
    const findings = [runtime(), await clock(), ...(await diagnose({ server, helper }))]
    if (flags.on('json')) process.stdout.write(`${JSON.stringify({ findings })}\n`)
    else process.stdout.write(text(findings, server, helper))
    return findings.some(({ state }) => state === 'failed') ? 1 : 0
  },
}

function runtime(): Finding {
  const about = 'host'
  const { node, deno, bun } = process.versions
  if (deno || bun) return { about, state: 'ok', says: deno ? `Deno ${deno}.` : `Bun ${bun}.` }
  const [major, minor] = node.split('.').map(Number)
  const fits = major > OLDEST_NODE[0] || (major === OLDEST_NODE[0] && minor >= OLDEST_NODE[1])
  const says = `Node ${node}${fits ? '.' : ` is older than ${OLDEST_NODE.join('.')}, which this package needs.`}`
  return { about, state: fits ? 'ok' : 'failed', says }
}

/** A clock that is far behind makes every certificate look as if it came from the future. */
async function clock(): Promise<Finding> {
  const about = 'clock'
  const { mtimeMs } = await stat(new URL(import.meta.url))
  if (Date.now() >= mtimeMs) return { about, state: 'ok', says: `${new Date().toISOString()}.` }
  const says = `it says ${new Date().toISOString()}, before this package was installed; set it, or wss:// will be refused.`
  return { about, state: 'failed', says }
}

const MARKS = { ok: ['green', '✓'], warning: ['yellow', '!'], failed: ['red', '✗'] } as const

function text(findings: readonly Finding[], server: string | undefined, helper: string | undefined): string {
  const paint = painter(process.stdout)
  const columns = columnsOf(process.stdout)
  const width = Math.max(...findings.map(({ about }) => about.length))
  const lines = findings.map(({ about, state, says }) => {
    const [colour, mark] = MARKS[state]
    const indent = width + 4
    return `${paint(colour, mark)} ${about.padEnd(width)}  ${wrapped(says, columns, ' '.repeat(indent)).slice(indent)}`
  })
  return `${[...lines, nextOf(findings, server, helper, paint)].join('\n')}\n`
}

/** What is wrong is looked at again; what is right is used. */
function nextOf(findings: readonly Finding[], server: string | undefined, helper: string | undefined, paint: Paint) {
  const urls = [server && `--server ${quoted(server)}`, helper && `--helper ${quoted(helper)}`]
    .filter(Boolean)
    .join(' ')
  if (findings.some(({ state }) => state === 'failed')) {
    return nextCommand(`doctor ${urls}`.trimEnd(), 'again, once that is put right', paint)
  }
  if (server && helper) return nextCommand(`infer IMAGE… ${urls}`, 'classifies pictures there', paint)
  if (server || helper) return nextCommand('doctor --server URL --helper URL', 'whether the two belong together', paint)
  return nextCommand('demo', 'all three parties on this machine', paint)
}
