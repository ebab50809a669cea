// Reading a command line: what a flag's text may be, and every wrong flag reported at once.

import { parseArgs } from 'node:util'
import { RingfenceError } from '../../errors.js'
import { RESIZES, type Resize } from '../../model/pictures/resize.js'
import { type NetworkProfile, networkProfiles } from '../../net/index.js'
import { fromHex } from '../../party/messages.js'
import type { CompileOptions } from '../../plan/compile/compile.js'
import { POOLS } from '../../plan/compile/mcc-numbers.js'
import type { Backend } from '../../plan/plan.js'
import { PROGRAM } from './terminal.js'

/** One flag of a command. */
export interface FlagDefinition {
  readonly type: 'string' | 'boolean'
  readonly description: string
  /** What its value is called in the help. */
  readonly valueHint?: string
  /** One letter. */
  readonly alias?: string
  /** The whole numbers that it may be, where it is one. */
  readonly range?: readonly [min: number, max: number]
}

/** By name, without the dashes. */
export type FlagDefinitions = Readonly<Record<string, FlagDefinition>>

export interface Command {
  readonly name: string
  /** One line. */
  readonly summary: string
  /** What stands after the command's name, for example `IMAGE…`. */
  readonly operands?: string
  readonly flags: FlagDefinitions
  /** Lines below the list of flags. */
  readonly notes?: readonly string[]
  /** Reads flags and --help itself once it has an operand; `run` gets the arguments as they stand. */
  readonly ownFlags?: boolean
  /** The result is the exit status. */
  run(flags: Flags, args: readonly string[]): Promise<number>
}

/** Flags every command has. */
export const COMMON_FLAGS = {
  json: { type: 'boolean', description: 'print JSON on standard output instead of text' },
  help: { type: 'boolean', alias: 'h', description: 'show this help' },
} as const satisfies FlagDefinitions

/** A command's flags and operands; problems with their values are collected until `check`. */
export class Flags {
  readonly operands: readonly string[]
  readonly #values = new Map<string, string | true>()
  readonly #problems: string[] = []

  constructor(
    readonly command: Pick<Command, 'name' | 'flags' | 'operands'>,
    args: readonly string[],
  ) {
    const known: FlagDefinitions = { ...command.flags, ...COMMON_FLAGS }
    const options = Object.fromEntries(
      Object.entries(known).map(([name, { type, alias }]) => [name, { type, ...(alias ? { short: alias } : {}) }]),
    )
    const { tokens } = parseArgs({ args: [...args], options, strict: false, allowPositionals: true, tokens: true })
    const operands: string[] = []
    for (const token of tokens) {
      if (token.kind === 'positional') operands.push(token.value)
      else if (token.kind === 'option') this.#read(token, known)
    }
    this.operands = operands
    if (!command.operands && operands.length > 0) {
      this.fault(`${command.name} takes no further arguments, got ${operands.join(' ')}`)
    }
  }

  #read(
    { name, rawName, value }: { readonly name: string; readonly rawName: string; readonly value?: string },
    known: FlagDefinitions,
  ): void {
    if (!Object.hasOwn(known, name)) this.fault(`unknown flag ${rawName}`)
    else if (known[name].type === 'boolean') {
      if (value === undefined) this.#values.set(name, true)
      else this.fault(`${rawName} takes no value, got ${value}`)
    } else if (value === undefined || value === '' || isFlag(value, known)) {
      this.fault(`--${name} needs a value`)
    } else this.#values.set(name, value)
  }

  /** @throws RingfenceError BAD_INPUT with every problem so far */
  check(): void {
    if (this.#problems.length === 0) return
    const { name } = this.command
    const problems = this.#problems.splice(0)
    throw new RingfenceError('BAD_INPUT', `this command line cannot be run; see ${PROGRAM} ${name} --help`, problems)
  }

  /** Adds a problem; once, however often its flag is read. */
  fault(problem: string): void {
    if (!this.#problems.includes(problem)) this.#problems.push(problem)
  }

  /** Faults those of these flags that were given. @param why they do nothing here */
  refuse(names: readonly string[], why: string): void {
    for (const name of names) if (this.#values.has(name)) this.fault(`--${name}: ${why}`)
  }

  /** What was given. */
  get values(): ReadonlyMap<string, string | true> {
    return this.#values
  }

  on(name: string): boolean {
    return this.#values.get(name) === true
  }

  text(name: string): string | undefined {
    const value = this.#values.get(name)
    return value === true ? undefined : value
  }

  /** What stands behind the flags, where that is one thing. */
  operand(): string {
    const [given = '', ...more] = this.operands
    if (given === '' || more.length > 0) {
      this.fault(`expected one ${this.command.operands}, got ${this.operands.join(' ') || 'none'}`)
    }
    return given
  }

  required(name: string, hint: string): string {
    const value = this.text(name)
    if (value === undefined) this.fault(`--${name} is missing: ${hint}`)
    return value ?? ''
  }

  /** A whole number; without bounds, of those of its definition. */
  integer(name: string, least?: number, most?: number): number | undefined {
    const text = this.text(name)
    if (text === undefined) return undefined
    const { range } = this.command.flags[name] ?? {}
    const [min, max] = [least ?? range![0], most ?? range![1]]
    const value = Number(text)
    if (/^\d+$/.test(text) && value >= min && value <= max) return value
    this.fault(`--${name}: expected a whole number from ${min} to ${max}, got ${text}`)
    return undefined
  }

  /** A number, with or without a fraction. */
  number(name: string, min: number, max: number): number | undefined {
    const text = this.text(name)
    if (text === undefined) return undefined
    const value = Number(text)
    if (value >= min && value <= max) return value
    this.fault(`--${name}: expected a number from ${min} to ${max}, got ${text}`)
    return undefined
  }

  oneOf<T extends string>(name: string, choices: readonly T[]): T | undefined {
    const text = this.text(name)
    if (text === undefined || choices.includes(text as T)) return text as T | undefined
    this.fault(`--${name}: expected one of ${choices.join(', ')}, got ${text}`)
    return undefined
  }

  /** A public key: 64 hexadecimal digits. */
  key(name: string): Uint8Array | undefined {
    const text = this.text(name)
    if (text === undefined) return undefined
    if (/^[0-9a-f]{64}$/i.test(text)) return fromHex(text)
    this.fault(`--${name}: expected a public key of 64 hexadecimal digits, got ${text.length} characters`)
    return undefined
  }

  resize(): Resize | undefined {
    return this.oneOf('resize', RESIZES)
  }

  network(): { name: string; profile: NetworkProfile } | undefined {
    const name = this.oneOf('network', Object.keys(networkProfiles) as (keyof typeof networkProfiles)[])
    return name && { name, profile: networkProfiles[name] }
  }
}

/** Whether what stands where a value is expected is the next flag. */
const isFlag = (text: string, known: FlagDefinitions) => text.startsWith('--') && Object.hasOwn(known, text.slice(2))

export { fromHex }
export const toHex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex')

const BACKENDS = ['mcc', 'securenn'] as const satisfies readonly Backend[]

/** Flags that choose a plan's back end and its numbers. */
export const PLAN_FLAGS = {
  backend: {
    type: 'string',
    valueHint: 'NAME',
    description: 'how to compute privately: mcc (default), or securenn, the published protocol with the helper on line',
  },
  ring: { type: 'string', valueHint: 'BITS', description: 'mcc: bits of the ring, 24 to 32 (default 32)' },
  bits: { type: 'string', valueHint: 'BITS', description: 'mcc: bits of an opened value (default 16)' },
  lo: { type: 'string', valueHint: 'BITS', description: 'mcc: low bits that comparisons ignore (default 0, exact)' },
  pools: {
    type: 'string',
    valueHint: 'WHAT',
    description: 'mcc: what max pools of 3×3 spare: trips (default), or bytes that the helper deals',
  },
  delegated: {
    type: 'boolean',
    description: 'mcc: bound the input first, as a plan for a delegate does; one round trip more',
  },
  guard: {
    type: 'boolean',
    description: 'mcc: catch clients that deviate before they learn anything; compares all bits',
  },
  fraction: { type: 'string', valueHint: 'BITS', description: 'securenn: fraction bits, 4 to 20 (default 12)' },
  'ignored-msb': {
    type: 'string',
    valueHint: 'BITS',
    description: "securenn: high bits of 64 that comparisons ignore (default: the model's, else 0)",
  },
  'ignored-lsb': {
    type: 'string',
    valueHint: 'BITS',
    description: 'securenn: low bits that comparisons ignore, no more than high ones',
  },
} as const satisfies FlagDefinitions

export function planOptions(flags: Flags): CompileOptions {
  return {
    backend: flags.oneOf('backend', BACKENDS),
    ring: flags.integer('ring', 24, 32),
    bits: flags.integer('bits', 4, 30),
    lo: flags.integer('lo', 0, 29),
    pools: flags.oneOf('pools', POOLS),
    ...(flags.on('delegated') && { delegated: true }),
    guard: flags.on('guard') ? {} : undefined,
    fraction: flags.integer('fraction', 4, 20),
    ignoredMsb: flags.integer('ignored-msb', 0, 62),
    ignoredLsb: flags.integer('ignored-lsb', 0, 62),
  }
}

export const NETWORK_FLAG = {
  network: {
    type: 'string',
    valueHint: 'NAME',
    description: `emulate a network on the client's links to server and helper: ${Object.keys(networkProfiles).join(', ')}`,
  },
} as const satisfies FlagDefinitions

export const DEADLINE_FLAG = {
  deadline: {
    type: 'string',
    valueHint: 'SECONDS',
    range: [1, 3600],
    description: 'longest silence of a peer that is waited for (default 30)',
  },
} as const satisfies FlagDefinitions

export const RESIZE_FLAG = {
  resize: {
    type: 'string',
    valueHint: 'HOW',
    description: 'pictures of another size: fit (all of it, black bars), cover (its middle) or stretch',
  },
} as const satisfies FlagDefinitions

export const CSV_FLAG = {
  csv: { type: 'boolean', description: 'print the rows of the table as CSV instead of text' },
} as const satisfies FlagDefinitions

export const HELPER_KEY_FLAG = {
  'helper-key': {
    type: 'string',
    valueHint: 'HEX',
    description: "the helper's public key, as it prints it; another helper is refused",
  },
} as const satisfies FlagDefinitions

/** A flag in seconds, as milliseconds. */
export function seconds(flags: Flags, name: string): number | undefined {
  const value = flags.integer(name)
  return value === undefined ? undefined : value * 1000
}
