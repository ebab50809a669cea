// Every host plays every role it can: clients on Node 20, 22, 24, Deno, Bun and in Chromium, server and helper on Node and
// Deno. Whoever plays, the result equals the integer reference under the masks of its run, bit for bit.
import { type ChildProcess, spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { loadModelDirectory } from '../../src/files/model-directory.js'
import { findModel } from '../../src/files/prepared-model.js'
import { type Compiled, compile } from '../../src/plan/compile/compile.js'
import type { Backend } from '../../src/plan/plan.js'
import { encodeFixed } from '../../src/ring/codec.js'
import { revealMasks, runReference } from '../../src/testing.js'
import { CHROMIUM, hasChromium } from '../browser/site.js'
import { runInPage } from './page.js'

const here = dirname(fileURLToPath(import.meta.url))
const script = (role: string) => join(here, `${role}.mjs`)
const require = createRequire(import.meta.url)

interface Host {
  readonly name: string
  /** Command and flags before the script; undefined when this machine lacks it. */
  readonly command: readonly string[] | undefined
  readonly missing?: string
}

const binary = (name: string, path: string): string | undefined => {
  try {
    const file = join(dirname(require.resolve(`${name}/package.json`)), path)
    return existsSync(file) ? file : undefined
  } catch {
    return undefined
  }
}
const deno = binary('@deno/linux-x64-glibc', 'deno')
const bun = binary('@oven/bun-linux-x64', 'bin/bun') ?? binary('bun', 'bin/bun.exe')
const other = (major: number): Host => {
  const path = process.env[`NODE_${major}`]
  return { name: `Node ${major}`, command: path ? [path] : undefined, missing: `NODE_${major} names no binary` }
}

const NODE: Host = { name: `Node ${process.versions.node.split('.')[0]}`, command: [process.execPath] }
/** Where these may be read, Deno takes `ws`, which answers 40 ms sooner per flight. */
const WS_VARIABLES = 'WS_NO_BUFFER_UTIL,WS_NO_UTF_8_VALIDATE'
const CLIENTS: readonly Host[] = [
  NODE,
  other(22),
  other(24),
  {
    name: 'Deno',
    command: deno ? [deno, 'run', '--allow-net'] : undefined,
    missing: 'no deno binary for this platform',
  },
  {
    name: 'Deno with ws',
    command: deno ? [deno, 'run', '--allow-net', `--allow-env=${WS_VARIABLES}`] : undefined,
    missing: 'no deno binary for this platform',
  },
  { name: 'Bun', command: bun ? [bun] : undefined, missing: 'no bun binary for this platform' },
]
/** A server reads its model; connections of `ws` on Deno look at the environment. */
const SERVERS: readonly Host[] = [
  NODE,
  {
    name: 'Deno',
    command: deno ? [deno, 'run', '--allow-net', '--allow-read', '--allow-env'] : undefined,
    missing: 'no deno binary',
  },
]

class Party {
  readonly lines: Record<string, unknown>[] = []
  readonly #child: ChildProcess
  readonly #errors: string[] = []
  #wake = () => {}

  constructor({ command }: Host, role: string, args: readonly string[]) {
    const [program, ...flags] = command!
    this.#child = spawn(program, [...flags, script(role), ...args], { stdio: ['ignore', 'pipe', 'pipe'] })
    this.#child.stderr!.on('data', (data) => this.#errors.push(String(data)))
    createInterface({ input: this.#child.stdout! }).on('line', (line) => {
      this.lines.push(JSON.parse(line))
      this.#wake()
    })
    this.#child.on('exit', () => this.#wake())
  }

  /** The first line that fits. @throws what the party said when it ends without one */
  async line<T>(fits: (line: Record<string, unknown>) => boolean): Promise<T> {
    for (;;) {
      const found = this.lines.find(fits)
      if (found) return found as T
      if (this.#child.exitCode !== null) throw new Error(`a party ended: ${this.#errors.join('')}`)
      await new Promise<void>((resolve) => {
        this.#wake = resolve
      })
    }
  }

  stop(): void {
    this.#child.kill()
  }
}

export interface ClientReport {
  readonly raw: readonly number[]
  readonly inference: number
  readonly session: readonly number[]
  readonly ch: readonly number[]
  readonly model: readonly number[]
}

const bytes = (list: readonly number[]) => Uint8Array.from(list)

async function expectReference(compiled: Compiled, report: ClientReport, server: Party): Promise<void> {
  const id = report.session.join()
  const { sh } = await server.line<{ sh: number[] }>((line) => (line.session as number[] | undefined)?.join() === id)
  const seeds = { ch: bytes(report.ch), sh: bytes(sh), model: bytes(report.model) }
  const { plan, model } = compiled
  const size = plan.input.shape.reduce((a, b) => a * b)
  const input = Float32Array.from({ length: size }, (_, i) => Math.sin(i * 1.7))
  const masks = revealMasks(plan, seeds, report.inference)
  const { output } = runReference(plan, model, encodeFixed(input, plan.input.scale, plan.input.bits), masks)
  expect(report.raw).toEqual([...output])
}

for (const backend of ['mcc', 'securenn'] as const satisfies readonly Backend[]) {
  for (const serverHost of SERVERS) {
    for (const helperHost of SERVERS) {
      // The published protocol needs no second tour of every pair.
      if (backend === 'securenn' && serverHost !== helperHost) continue
      const ready = serverHost.command && helperHost.command
      const title = `${backend}, server on ${serverHost.name}, helper on ${helperHost.name}`
      describe.skipIf(!ready)(ready ? title : `${title} (skipped: ${SERVERS[1].missing})`, () => {
        let helper: Party
        let server: Party
        let compiled: Compiled
        let at: readonly [server: string, helper: string]
        beforeAll(async () => {
          const { arch, weights, calibration, spec } = await loadModelDirectory(findModel('mnist-cnn3'))
          compiled = compile(arch, weights, calibration!, spec, { backend })
          helper = new Party(helperHost, 'helper', [])
          const { url: helperUrl } = await helper.line<{ url: string }>((line) => 'url' in line)
          server = new Party(serverHost, 'server', [helperUrl, backend])
          const { url } = await server.line<{ url: string }>((line) => 'url' in line)
          at = [url, helperUrl]
        })
        afterAll(() => {
          server?.stop()
          helper?.stop()
        })
        for (const host of CLIENTS) {
          const name = `client on ${host.name}`
          it.skipIf(!host.command)(host.command ? name : `${name} (skipped: ${host.missing})`, async () => {
            const client = new Party(host, 'client', at)
            const report = await client.line<ClientReport & Record<string, unknown>>((line) => 'raw' in line)
            await expectReference(compiled, report, server)
          })
        }
        const inChromium = 'client in Chromium'
        it.skipIf(!hasChromium)(hasChromium ? inChromium : `${inChromium} (skipped: no ${CHROMIUM})`, async () => {
          await expectReference(compiled, await runInPage(script('client'), at), server)
        })
      })
    }
  }
}
