// More than one core on other hosts: threads of a helper on Node, Deno and Bun, processes of a server on Node and Bun. Deno has
// none of those, and says so in one line.
import { spawn } from 'node:child_process'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { loadModelDirectory } from '../../src/files/model-directory.js'
import { findModel } from '../../src/files/prepared-model.js'
import { type Compiled, compile } from '../../src/plan/compile/compile.js'
import { REPOSITORY } from '../fixtures/vectors.js'
import { type Host, Party, WITH_WORKERS } from './hosts.js'
import { type ClientReport, expectReference } from './judged.js'

const [NODE] = WITH_WORKERS
const titled = ({ name, command, missing }: Host) => (command ? `on ${name}` : `on ${name} (skipped: ${missing})`)

let compiled: Compiled
beforeAll(async () => {
  const { arch, weights, calibration, spec } = await loadModelDirectory(findModel('mnist-cnn3'))
  compiled = compile(arch, weights, calibration!, spec, { backend: 'mcc' })
})

describe('a helper with two threads', () => {
  for (const host of WITH_WORKERS) {
    it.skipIf(!host.command)(titled(host), async () => {
      const helper = new Party(host, 'helper', ['2'])
      const at = await helper.line<{ url: string; threads: number }>((line) => 'url' in line)
      expect(at.threads).toBe(2)
      const server = new Party(NODE, 'server', [at.url, 'mcc'])
      const { url } = await server.line<{ url: string }>((line) => 'url' in line)
      const client = new Party(NODE, 'client', [url, at.url])
      const report = await client.line<ClientReport & Record<string, unknown>>((line) => 'raw' in line)
      await expectReference(compiled, report, server)
      server.stop()
      helper.stop()
    })
  }
})

describe('serve --workers 2', () => {
  const cli = join(fileURLToPath(REPOSITORY), 'dist/cli.js')
  let helper: Party
  let helperUrl: string
  beforeAll(async () => {
    helper = new Party(NODE, 'helper', [])
    helperUrl = (await helper.line<{ url: string }>((line) => 'url' in line)).url
  })
  afterAll(() => helper?.stop())

  /** What it prints until one of these comes, on either stream. */
  function serve({ command }: Host, until: readonly string[]): Promise<string> {
    const [program, ...flags] = command!
    const args = ['serve', '--model', 'mnist-cnn3', '--helper', helperUrl, '--listen', '127.0.0.1:0', '--workers', '2']
    const child = spawn(program, [...flags, cli, ...args], { stdio: ['ignore', 'pipe', 'pipe'] })
    let printed = ''
    return new Promise((resolve) => {
      const end = () => {
        child.kill()
        resolve(printed)
      }
      for (const stream of [child.stdout, child.stderr]) {
        stream.on('data', (data) => {
          printed += data
          if (until.some((word) => printed.includes(word))) end()
        })
      }
      child.on('exit', end)
    })
  }

  for (const host of WITH_WORKERS.filter(({ name }) => name !== 'Deno')) {
    it.skipIf(!host.command)(titled(host), async () => {
      expect(await serve(host, ['processes'])).toMatch(/processes +2/)
    })
  }

  const deno = WITH_WORKERS.find(({ name }) => name === 'Deno')!
  it.skipIf(!deno.command)(`is refused ${titled(deno)}`, async () => {
    const printed = await serve(deno, [])
    expect(printed).toContain('error HOST')
    expect(printed.replace(/\s+/g, ' ')).toContain(
      'runs no program in several processes; start several, each at a port of its own',
    )
    expect(printed.split('\n').filter(Boolean).length).toBeLessThanOrEqual(3)
  })
})
