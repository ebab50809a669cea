// The guides' own text as programs: blocks with a file name become files, lines of `sh` blocks become commands.
import { type ChildProcess, spawn } from 'node:child_process'
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { delimiter, dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

export const root = fileURLToPath(new URL('../..', import.meta.url))
if (!existsSync(join(root, 'dist/index.js')))
  throw new Error('dist is missing: run npm run build, or npm test, which does')

export interface Guide {
  readonly name: string
  /** Blocks that begin with ```language file=NAME. */
  readonly files: ReadonlyMap<string, string>
  /** Blocks of commands, each as its lines. */
  readonly commands: readonly (readonly string[])[]
}

const BLOCK = /^```(\w+)([^\n]*)\n([\s\S]*?)^```$/gm

export function readGuide(name: string): Guide {
  const files = new Map<string, string>()
  const commands: string[][] = []
  for (const [, language, info, text] of readFileSync(join(root, 'docs/hosts', name), 'utf8').matchAll(BLOCK)) {
    const file = /file=(\S+)/.exec(info)?.[1]
    if (file) files.set(file, text)
    if (language === 'sh') commands.push(text.trimEnd().split('\n'))
  }
  return { name, files, commands }
}

/** The words of the one command that names `file`. */
export function commandFor({ name, commands }: Guide, file: string): string[] {
  const found = commands.flat().filter((line) => line.split(' ').includes(file))
  if (found.length !== 1) throw new Error(`${name}: expected one command with ${file}, found ${found.length}`)
  return found[0].split(' ')
}

/** The package as it is installed, copied, so that what its files import is found beside it. */
function install(folder: string): void {
  const modules = join(folder, 'node_modules')
  mkdirSync(modules)
  for (const entry of readdirSync(join(root, 'node_modules'))) {
    symlinkSync(join(root, 'node_modules', entry), join(modules, entry))
  }
  for (const part of ['dist', 'package.json', 'models/mnist-cnn3', 'models/samples']) {
    cpSync(join(root, part), join(modules, 'ringfence', part), { recursive: true })
  }
}

/** A folder in which a reader of the guide could stand. `replaced`: what the guide leaves to the reader. */
export function workspace({ files }: Guide, replaced: Readonly<Record<string, string>> = {}): string {
  const folder = mkdtempSync(join(tmpdir(), 'ringfence-guide-'))
  install(folder)
  writeFileSync(join(folder, 'package.json'), '{"type":"module","dependencies":{"ringfence":"*"}}')
  for (const [name, text] of files) writeFileSync(join(folder, name), fill(text, replaced))
  return folder
}

export const fill = (text: string, replaced: Readonly<Record<string, string>>): string =>
  Object.entries(replaced).reduce((all, [from, to]) => all.replaceAll(from, to), text)

const require = createRequire(import.meta.url)
function binary(name: string, path: string): string | undefined {
  try {
    const file = join(dirname(require.resolve(`${name}/package.json`)), path)
    return existsSync(file) ? file : undefined
  } catch {
    return undefined
  }
}

/** The runtimes that commands name; undefined where this machine has none. */
export const RUNTIMES: Readonly<Record<string, string | undefined>> = {
  node: process.execPath,
  deno: binary('@deno/linux-x64-glibc', 'deno'),
  bun: binary('@oven/bun-linux-x64', 'bin/bun') ?? binary('bun', 'bin/bun.exe'),
}

/** A program that a guide tells to start. */
export class Program {
  readonly #child: ChildProcess
  readonly #ended: Promise<number | null>
  output = ''

  constructor(cwd: string, [program, ...args]: readonly string[], env: NodeJS.ProcessEnv = {}) {
    const path = [join(root, 'node_modules/.bin'), process.env.PATH].join(delimiter)
    const options = { cwd, env: { ...process.env, PATH: path, ...env } }
    this.#child = spawn(RUNTIMES[program] ?? program, args, options)
    this.#child.stdout!.on('data', (text) => (this.output += text))
    this.#child.stderr!.on('data', (text) => (this.output += text))
    this.#ended = new Promise((resolve) => this.#child.once('close', resolve))
  }

  /** The first match in what it prints. */
  async says(pattern: RegExp): Promise<string> {
    for (let waited = 0; waited < 200_000; waited += 20) {
      const match = pattern.exec(this.output)
      if (match) return match[0]
      if (this.#child.exitCode !== null) break
      await new Promise((resolve) => setTimeout(resolve, 20))
    }
    throw new Error(`expected ${pattern} in ${this.output}`)
  }

  /** All it printed. @throws what it said when it failed */
  async ended(): Promise<string> {
    const status = await this.#ended
    if (status !== 0) throw new Error(`ended with ${status}: ${this.output}`)
    return this.output
  }

  async stop(): Promise<void> {
    this.#child.kill('SIGTERM')
    await this.#ended
  }
}
