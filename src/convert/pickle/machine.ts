// The stack machine that opcodes work on: a stack, marks, a memo, and a position in the file, every read of it bounded.
import { quote } from '../../model/json/fields.js'
import type { Budget } from '../weights/budget.js'
import { Foreign, type Global, type Pickled } from './values.js'

/** What of a pickle means nothing to a network. */
export interface LeftOut {
  /** Outside the closed list; their objects are left out. */
  readonly names: readonly string[]
  /** Entries of dicts whose keys are neither texts nor numbers. */
  readonly entries: number
}

export interface UnpickleOptions {
  /** Pays for whatever the pickle unfolds to, and names the file in messages. */
  readonly budget: Budget
  /** The closed list, by `module.name`. */
  readonly globals: ReadonlyMap<string, Global>
  /** What a persistent id stands for; pickles with persistent ids are refused without it. */
  readonly persistent?: (id: Pickled) => Pickled
  /** Told what is left out; without it that is refused. */
  readonly onLeftOut?: (leftOut: LeftOut) => void
  /** First byte of the pickle; more than one may follow each other. */
  readonly start?: number
}

/** Foreign names that are collected for the message. */
const MOST_FOREIGN = 20
const UTF8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })
const ADVICE = 'save tensors, numbers, texts, lists and dicts only, such as model.state_dict()'

/** @throws RingfenceError BAD_FILE that lists names outside of the closed list */
export function refuseForeign(names: readonly string[], budget: Budget): never {
  const problems = names.map((name) => `${quote(name)} is not on the list of known data types`)
  budget.fail(`the pickle names code, which is never run; ${ADVICE}`, problems)
}

/** The stack machine: a stack, marks on it, a memo, and a position in the file. */
export class Machine {
  at: number
  readonly stack: Pickled[] = []
  readonly marks: number[] = []
  readonly memo = new Map<number, Pickled>()
  readonly foreign = new Set<string>()
  /** Entries of dicts left out for their keys. */
  oddEntries = 0
  readonly budget: Budget
  readonly persistent: UnpickleOptions['persistent']
  /** Whether what cannot be read is left out where no tensor depends on it. */
  readonly leavesOut: boolean
  readonly #view: DataView
  readonly #globals: ReadonlyMap<string, Global>

  constructor(
    readonly file: Uint8Array,
    { budget, globals, persistent, start = 0, onLeftOut }: UnpickleOptions,
  ) {
    this.at = start
    this.budget = budget
    this.persistent = persistent
    this.leavesOut = onLeftOut !== undefined
    this.#view = new DataView(file.buffer, file.byteOffset, file.byteLength)
    this.#globals = globals
  }

  fail(text: string): never {
    this.budget.fail(text)
  }

  refuse(): never {
    refuseForeign([...this.foreign], this.budget)
  }

  /** The next `length` bytes, a view of the file. */
  bytes(length: number): Uint8Array {
    if (length > this.file.length - this.at) {
      this.fail(`the pickle is cut short: expected ${length} bytes at byte ${this.at} of ${this.file.length}`)
    }
    return this.file.subarray(this.at, (this.at += length))
  }

  #skip(length: number): number {
    if (length > this.file.length - this.at) this.fail(`the pickle is cut short at byte ${this.at}`)
    const from = this.at
    this.at += length
    return from
  }

  byte(): number {
    return this.file[this.#skip(1)]
  }

  uint16(): number {
    return this.#view.getUint16(this.#skip(2), true)
  }

  int32(): number {
    return this.#view.getInt32(this.#skip(4), true)
  }

  uint32(): number {
    return this.#view.getUint32(this.#skip(4), true)
  }

  uint64(): number {
    return this.uint32() + this.uint32() * 2 ** 32
  }

  /** Big endian, as pickle has it. */
  float64(): number {
    return this.#view.getFloat64(this.#skip(8))
  }

  /** Text up to the next line feed. */
  line(longest: number): string {
    const end = this.file.subarray(this.at, this.at + longest + 1).indexOf(0x0a)
    if (end < 0) this.fail(`expected a line of at most ${longest} bytes at byte ${this.at}`)
    const text = this.text(end)
    this.at++
    return text
  }

  text(length: number): string {
    const bytes = this.bytes(length)
    try {
      return UTF8.decode(bytes)
    } catch {
      return this.fail(`expected UTF-8 text before byte ${this.at}`)
    }
  }

  push(value: Pickled): void {
    this.stack.push(value)
  }

  /** Pushes a new list, tuple or dict, which costs memory even when empty. */
  pushContainer(value: object): void {
    this.budget.spend(256, 'the containers of the pickle')
    this.stack.push(value)
  }

  /** Removes and returns the top value, never one below the last mark. */
  pop(): Pickled {
    if (this.stack.length <= (this.marks.at(-1) ?? 0)) this.fail(`nothing on the pickle's stack at byte ${this.at - 1}`)
    return this.stack.pop()
  }

  top(): Pickled {
    const value = this.pop()
    this.stack.push(value)
    return value
  }

  /** Removes the last mark and returns the values above it. */
  popMarked(): Pickled[] {
    const mark = this.marks.pop()
    if (mark === undefined) this.fail(`no mark on the pickle's stack at byte ${this.at - 1}`)
    return this.stack.splice(mark)
  }

  global(module: Pickled, name: Pickled): Pickled {
    if (typeof module !== 'string' || typeof name !== 'string') this.fail('expected a module and a name as texts')
    const full = `${module}.${name}`
    const known = this.#globals.get(full)
    if (known) return known
    if (this.foreign.size < MOST_FOREIGN) this.foreign.add(full)
    return new Foreign()
  }
}
