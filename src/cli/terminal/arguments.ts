// Reading a command line: what a flag's text may be, and every wrong flag reported at once.
import { type ArgsDef, parseArgs } from 'citty'
import { RingfenceError } from '../../errors.js'
import { type NetworkProfile, networkProfiles } from '../../net/index.js'
import type { CompileOptions } from '../../plan/compile/compile.js'
import type { Backend } from '../../plan/plan.js'

export interface Command {
  readonly name: string
  /** One line. */
  readonly summary: string
  /** What stands after the command's name, for example `IMAGE…`. */
  readonly operands?: string
  readonly flags: ArgsDef
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
} as const satisfies ArgsDef

/** A command's flags and operands; problems with their values are collected until `check`. */
export class Flags {
  readonly operands: readonly string[]
  readonly #values: Record<string, unknown>
  readonly #problems: string[] = []

  constructor(
    readonly command: Pick<Command, 'name' | 'flags' | 'operands'>,
    args: readonly string[],
  ) {
    const known: ArgsDef = { ...command.flags, ...COMMON_FLAGS }
    this.#refuseUnknown(known, args)
    this.#values = parseArgs([...args], known)
    this.operands = (this.#values._ as string[]).filter((text) => text !== '--')
    if (!command.operands && this.operands.length > 0) {
      this.fault(`${command.name} takes no further arguments, got ${this.operands.join(' ')}`)
    }
  }

  /** @throws RingfenceError BAD_INPUT with every problem so far */
  check(): void {
    if (this.#problems.length === 0) return
    const { name } = this.command
    const problems = this.#problems.splice(0)
    throw new RingfenceError('BAD_INPUT', `this command line cannot be run; see ringfence ${name} --help`, problems)
  }

  fault(problem: string): void {
    this.#problems.push(problem)
  }

  on(name: string): boolean {
    return this.#values[name] === true
  }

  text(name: string): string | undefined {
    const value = this.#values[name]
    if (value === '') this.fault(`--${name} needs a value`)
    return typeof value === 'string' && value !== '' ? value : undefined
  }

  required(name: string, hint: string): string {
    const value = this.text(name)
    if (value === undefined) this.fault(`--${name} is missing: ${hint}`)
    return value ?? ''
  }

  integer(name: string, min: number, max: number): number | undefined {
    const text = this.text(name)
    if (text === undefined) return undefined
    const value = Number(text)
    if (/^\d+$/.test(text) && value >= min && value <= max) return value
    this.fault(`--${name}: expected a whole number from ${min} to ${max}, got ${text}`)
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

  network(): { name: string; profile: NetworkProfile } | undefined {
    const name = this.oneOf('network', Object.keys(networkProfiles) as (keyof typeof networkProfiles)[])
    return name && { name, profile: networkProfiles[name] }
  }

  #refuseUnknown(known: ArgsDef, args: readonly string[]): void {
    const aliases = Object.values(known).flatMap((flag) => ('alias' in flag ? (flag.alias ?? []) : []))
    const names = new Set([...aliases, ...Object.keys(known)])
    for (const arg of args) {
      if (arg === '--') return
      const name = /^--?([^=]+)/.exec(arg)?.[1]
      if (name !== undefined && !names.has(name)) this.fault(`unknown flag ${arg.split('=', 1)[0]}`)
    }
  }
}

export const fromHex = (text: string): Uint8Array => Uint8Array.from(text.match(/../g)!, (pair) => parseInt(pair, 16))
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
} as const satisfies ArgsDef

/** Which option of `compile` each flag above is. */
const OPTION_FLAGS: Readonly<Record<string, keyof typeof PLAN_FLAGS>> = {
  backend: 'backend',
  ring: 'ring',
  bits: 'bits',
  lo: 'lo',
  fraction: 'fraction',
  ignoredMsb: 'ignored-msb',
  ignoredLsb: 'ignored-lsb',
}

export function planOptions(flags: Flags): CompileOptions {
  return {
    backend: flags.oneOf('backend', BACKENDS),
    ring: flags.integer('ring', 24, 32),
    bits: flags.integer('bits', 4, 30),
    lo: flags.integer('lo', 0, 29),
    fraction: flags.integer('fraction', 4, 20),
    ignoredMsb: flags.integer('ignored-msb', 0, 62),
    ignoredLsb: flags.integer('ignored-lsb', 0, 62),
  }
}

/** What `compile` says of an option, about the flag that sets it. */
export function aboutFlags(problem: string): string {
  const flag = (option: string) => (Object.hasOwn(OPTION_FLAGS, option) ? `--${OPTION_FLAGS[option]}` : option)
  return problem.replace(/^\w+(?=: )|\bignored[LM]sb\b/g, flag)
}

export const NETWORK_FLAG = {
  network: {
    type: 'string',
    valueHint: 'NAME',
    description: `emulate a network on the client's links to server and helper: ${Object.keys(networkProfiles).join(', ')}`,
  },
} as const satisfies ArgsDef

export const HELPER_KEY_FLAG = {
  'helper-key': {
    type: 'string',
    valueHint: 'HEX',
    description: "the helper's public key, as it prints it; another helper is refused",
  },
} as const satisfies ArgsDef
