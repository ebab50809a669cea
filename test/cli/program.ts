// Runs the built program as a user would.
import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

export const root = fileURLToPath(new URL('../..', import.meta.url))
const cli = `${root}dist/cli.js`
if (!existsSync(cli)) throw new Error('dist/cli.js is missing: run npm run build, or npm test, which does')

export interface Ran {
  status: number | string
  stdout: string
  stderr: string
}

/** Runs a command to its end. */
export function ringfence(...args: string[]): Promise<Ran> {
  return new Promise((resolve) => {
    execFile(process.execPath, [cli, ...args], { cwd: root, timeout: 250_000 }, (error, stdout, stderr) => {
      resolve({ status: error ? (error.code ?? error.signal ?? 'failed') : 0, stdout, stderr })
    })
  })
}

/** A long-running command: its first lines, its end. */
export class Running {
  readonly #child: ChildProcess
  readonly #ended: Promise<number | null>
  stdout = ''
  stderr = ''

  constructor(script: string, ...args: string[]) {
    this.#child = spawn(process.execPath, [script, ...args], { cwd: root, stdio: ['ignore', 'pipe', 'pipe'] })
    this.#child.stdout?.on('data', (text) => (this.stdout += text))
    this.#child.stderr?.on('data', (text) => (this.stderr += text))
    this.#ended = new Promise((resolve) => this.#child.once('close', resolve))
  }

  get pid(): number {
    return this.#child.pid!
  }

  /** The first match in what it printed. */
  async says(pattern: RegExp): Promise<string> {
    for (let waited = 0; waited < 200_000; waited += 20) {
      const match = pattern.exec(this.stdout)
      if (match) return match[1] ?? match[0]
      if (this.#child.exitCode !== null) break
      await new Promise((resolve) => setTimeout(resolve, 20))
    }
    throw new Error(`expected ${pattern} in ${this.stdout}\n${this.stderr}`)
  }

  /** Closes our end of its output, as a log's reader that dies does. */
  stopReading(): void {
    this.#child.stdout?.destroy()
  }

  signal(signal: NodeJS.Signals): void {
    this.#child.kill(signal)
  }

  /** Exit status. */
  ended(): Promise<number | null> {
    return this.#ended
  }

  stop(signal: NodeJS.Signals = 'SIGINT'): Promise<number | null> {
    this.#child.kill(signal)
    return this.#ended
  }
}

export const startRingfence = (...args: string[]): Running => new Running(cli, ...args)
