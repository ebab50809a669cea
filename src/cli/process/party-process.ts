// A party in an operating-system process of its own, called from the process that started it.
import { type ChildProcess, fork } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { RingfenceError } from '../../errors.js'
import { describeFailure, type Failure, restoreFailure } from '../terminal/failure-report.js'

interface Call {
  readonly call: string
  readonly argument: unknown
}
type Answer = { readonly result: unknown } | { readonly failure: Failure } | { readonly event: unknown }

/** The parent's view of a party: one call at a time. */
export class PartyProcess {
  readonly #child: ChildProcess
  readonly #name: string
  #pending: { resolve: (result: never) => void; reject: (error: Error) => void } | undefined
  #ended: Error | undefined
  /** Called with what the party reports while it works. */
  onEvent: ((event: never) => void) | undefined

  constructor(name: string) {
    this.#name = name
    // Every file of the build lies in one folder, so this finds the program from whichever of them holds this code.
    this.#child = fork(fileURLToPath(new URL('./cli.js', import.meta.url)), ['demo-party'], {
      serialization: 'advanced',
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    })
    this.#child.on('message', (answer: Answer) => this.#answered(answer))
    this.#child.on('exit', (status, signal) => this.#end(status ?? signal))
    this.#child.on('error', () => this.#end('it could not be started'))
  }

  get pid(): number {
    return this.#child.pid ?? 0
  }

  call<T>(call: string, argument?: unknown): Promise<T> {
    if (this.#ended) return Promise.reject(this.#ended)
    return new Promise<T>((resolve, reject) => {
      this.#pending = { resolve, reject }
      this.#child.send({ call, argument } satisfies Call)
    })
  }

  /** Ends the process, at the latest after a second. */
  async stop(): Promise<void> {
    if (this.#ended) return
    const gone = new Promise<void>((resolve) => this.#child.once('exit', () => resolve()))
    const timer = setTimeout(() => this.#child.kill('SIGKILL'), 1000)
    this.#child.disconnect()
    await gone
    clearTimeout(timer)
  }

  #answered(answer: Answer): void {
    if ('event' in answer) {
      this.onEvent?.(answer.event as never)
      return
    }
    const pending = this.#pending
    this.#pending = undefined
    if ('failure' in answer) pending?.reject(restoreFailure(answer.failure))
    else pending?.resolve(answer.result as never)
  }

  #end(why: number | string | null): void {
    this.#ended ??= new RingfenceError('PEER_GONE', `the ${this.#name}'s process ended early (${why}); see above`)
    this.#pending?.reject(this.#ended)
    this.#pending = undefined
  }
}

export type Handlers = Readonly<Record<string, (argument: never) => Promise<unknown>>>

/** In the party's process: reports something while a call is at work. */
export function reportEvent(event: unknown): void {
  process.send?.({ event } satisfies Answer)
}

/** In the party's process: answers calls until the parent disconnects. */
export async function answerCalls(handlers: Handlers): Promise<void> {
  if (!process.send) throw new RingfenceError('BAD_INPUT', 'this command is started by ringfence demo only')
  const answer = async ({ call, argument }: Call): Promise<void> => {
    try {
      process.send!({ result: await handlers[call](argument as never) } satisfies Answer)
    } catch (error) {
      process.send!({ failure: describeFailure(error) } satisfies Answer)
    }
  }
  process.on('message', (message: Call) => void answer(message))
  // Ctrl-C reaches the whole group; the parent decides when the parties end.
  process.on('SIGINT', () => undefined)
  await new Promise<void>((resolve) => process.once('disconnect', resolve))
}
