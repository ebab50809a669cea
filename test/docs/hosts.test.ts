// The guides for Node, Deno and Bun: their programs run, started by their own command lines.
import { copyFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Parties, partiesFor } from '../browser/site.js'
import { selfSigned } from '../net/certificate.js'
import { commandFor, Program, RUNTIMES, readGuide, root, workspace } from './guides.js'
import { type Site, serve } from './site.js'

const DIGITS = ['digit-4.png', 'digit-7.png']
const ADDRESSES = { server: 'ws://127.0.0.1:7702', helper: 'ws://127.0.0.1:7701', pictures: 'http://127.0.0.1:8000/' }

let parties: Parties
let pictures: Site
const running: Program[] = []
beforeAll(async () => {
  parties = await partiesFor('mnist-cnn3')
  pictures = await serve(join(root, 'models/samples'))
})
afterAll(async () => {
  for (const program of running) await program.stop()
  pictures.close()
  await parties.close()
})

/** A guide's command with the addresses of this test in place of its own, and any free port where it listens. */
function command(guide: ReturnType<typeof readGuide>, file: string, at: Partial<typeof ADDRESSES>): string[] {
  return commandFor(guide, file).map((word) => {
    if (/^770[12]$/.test(word)) return '0'
    if (word === ADDRESSES.server) return at.server!
    return word === ADDRESSES.helper ? at.helper! : word.replace(ADDRESSES.pictures, pictures.url)
  })
}

const own = () => ({ server: parties.server.url, helper: parties.helper.url })

function standIn(guide: ReturnType<typeof readGuide>): string {
  const folder = workspace(guide)
  for (const name of DIGITS) copyFileSync(join(root, 'models/samples', name), join(folder, name))
  return folder
}

async function listening(folder: string, words: string[], scheme = 'ws'): Promise<string> {
  const program = new Program(folder, words)
  running.push(program)
  return program.says(new RegExp(`${scheme}://[\\w.:]+`))
}

describe('the guide for Node', () => {
  const guide = readGuide('node.md')
  const folder = standIn(guide)

  it('classifies several pictures with one client', async () => {
    const output = await new Program(folder, command(guide, 'client.mjs', own())).ended()
    expect(output).toMatch(/^digit-4.png: 4, in [\d.]+ ms\ndigit-7.png: 7, in [\d.]+ ms\n$/)
  })

  it('its client says in one line what failed', async () => {
    writeFileSync(join(folder, 'digit-7.png'), 'no picture')
    const client = new Program(folder, command(guide, 'client.mjs', own()))
    await expect(client.ended()).rejects.toThrow('ended with 1')
    expect(client.output).toMatch(/^digit-4.png: 4, in .*\nBAD_FILE: .*\n$/)
  })

  it('works from CommonJS', async () => {
    expect(await new Program(folder, command(guide, 'client.cjs', own())).ended()).toBe('digit-4.png: 4\n')
  })

  it('has a helper that speaks TLS to those who trust its certificate', async () => {
    const { cert, key } = selfSigned()
    writeFileSync(join(folder, 'cert.pem'), cert)
    writeFileSync(join(folder, 'key.pem'), key)
    const url = await listening(folder, command(guide, 'helper.mjs', {}), 'wss')
    const helper = url.replace('0.0.0.0', '127.0.0.1')
    expect(running[running.length - 1].output).toMatch(/public key [0-9a-f]{64}\n/)
    // It does not know the parties' server: what answers is the helper, over TLS.
    const words = command(guide, 'client.cjs', { ...own(), helper })
    const trusting = new Program(folder, words, { NODE_EXTRA_CA_CERTS: 'cert.pem' })
    await expect(trusting.ended()).rejects.toThrow(/PEER_FAILED|PEER_GONE|PLAN_MISMATCH/)
    const other = new Program(folder, words)
    await expect(other.ended()).rejects.toThrow('INSECURE')
  })
})

for (const [runtime, page] of [
  ['deno', 'deno.md'],
  ['bun', 'bun.md'],
] as const) {
  const has = RUNTIMES[runtime] !== undefined
  const title = `the guide for ${runtime === 'deno' ? 'Deno' : 'Bun'}`
  describe.skipIf(!has)(has ? title : `${title} (skipped: no ${runtime} binary for this platform)`, () => {
    const guide = readGuide(page)
    const folder = has ? standIn(guide) : ''

    it('has a client that needs no more than it says', async () => {
      const output = await new Program(folder, command(guide, 'client.mjs', own())).ended()
      expect(output).toMatch(/digit-4.png: 4, in [\d.]+ ms\n$/)
    })

    it('has a helper and a server that need no more than it says', async () => {
      const helper = await listening(folder, command(guide, 'helper.mjs', {}))
      const server = await listening(folder, command(guide, 'server.mjs', { helper }))
      const output = await new Program(folder, command(guide, 'client.mjs', { server, helper })).ended()
      expect(output).toMatch(/digit-4.png: 4, in [\d.]+ ms\n$/)
    })

    if (runtime !== 'deno') return
    it('runs the command line', async () => {
      const [line] = guide.commands.flat().filter((text) => text.includes('npm:ringfence infer'))
      const at: Record<string, string> = {
        'npm:ringfence': 'node_modules/ringfence/dist/cli.js',
        'wss://server.example': parties.server.url,
        'wss://helper.example': parties.helper.url,
      }
      const output = await new Program(
        folder,
        line.split(' ').map((word) => at[word] ?? word),
      ).ended()
      expect(output).toMatch(/digit-4\.png +4 /)
    })
  })
}
