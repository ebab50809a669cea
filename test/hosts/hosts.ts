// The hosts that may play a role, where this machine has them, and a role's script run on one.
import { type ChildProcess, spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'

const here = dirname(fileURLToPath(import.meta.url))
export const script = (role: string) => join(here, `${role}.mjs`)
const require = createRequire(import.meta.url)

export interface Host {
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
export const CLIENTS: readonly Host[] = [
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
const ALL = ['--allow-net', '--allow-read', '--allow-env', '--allow-sys', '--allow-run']
/** Where a party may have threads or processes beside its own. */
export const WITH_WORKERS: readonly Host[] = [
  NODE,
  { name: 'Deno', command: deno ? [deno, 'run', ...ALL] : undefined, missing: 'no deno binary for this platform' },
  { name: 'Bun', command: bun ? [bun] : undefined, missing: 'no bun binary for this platform' },
]
/** A server reads its model; connections of `ws` on Deno look at the environment. */
export const SERVERS: readonly Host[] = [
  NODE,
  {
    name: 'Deno',
    command: deno ? [deno, 'run', '--allow-net', '--allow-read', '--allow-env'] : undefined,
    missing: 'no deno binary',
  },
]

/** A role's script, or a program, in a process of its own; it prints lines of JSON. */
export class Party {
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
