// What the comparison bench needs of a back end. Everything here runs wherever the kernels run.
import type { Link } from '../../src/net/index.js'
import type { Message, Role } from '../../src/protocol/transcript.js'
import type { OnlineCost, Work } from './network.js'

export type { Role } from '../../src/protocol/transcript.js'
/** In the order in which they are started. */
export const ROLES: readonly Role[] = ['helper', 'server', 'client']

/** One way to compare: plain data, so that it can be handed to another process. */
export interface Variant {
  readonly backend: string
  /** The comparison alone (shares of a bit), or a whole ReLU (shares of the value, back in the ring). */
  readonly operation: 'comparison' | 'relu'
  /** Compared bits. */
  readonly bits: number
  /** How the compared bits are cut; the back end's own. */
  readonly shape: readonly number[]
  /** Bits of the value that is compared; the low ones beyond `bits` are ignored. */
  readonly opened: number
}

/** Bytes of one batch on the wire, frame headers included; what the meters have to show, to the byte. */
export interface CompareCost {
  readonly online: OnlineCost
  readonly offline: { readonly clientDown: number; readonly clientUp: number; readonly helperToServer: number }
}

/** Signed integers that are compared with zero. */
export type Values = Int32Array | BigInt64Array

/** Inputs of one ReLU layer of a real network. */
export interface Activations {
  readonly layer: string
  readonly values: Float32Array
  /** Fraction bits a plan gives them when it opens values of `bits` bits. */
  readonly scale: number
  readonly bits: number
}

/** All parties' parts of one batch, callable apart. */
export interface LocalWork {
  client(): void | Promise<void>
  server(): void | Promise<void>
  helper(): void | Promise<void>
  /** Of each party alone between its messages; where it is missing, nobody works at the same time as another. */
  work?(): Promise<Work>
  /** 1 where the protocol says that a value is not negative. */
  signs(): Uint8Array
  release(): void
}

/** One party, connected and with its off-line part done. */
export interface Party {
  /** Before every batch, where parties have to start together. */
  ready?(): Promise<void>
  /** One batch on line. */
  run(): Promise<void>
  release(): void
}

export interface Backend {
  readonly name: string
  /** Whose clocks count: a batch takes as long as it takes the slowest of them. */
  readonly timed: readonly Role[]
  /**
   * What can be measured at a bit count, or why nothing can.
   * @param ignored low bits that comparisons leave out; without it those of a 16-bit value beyond the compared ones
   */
  variants(bits: number, ignored?: number): readonly Variant[] | { readonly unsupported: string }
  /** Bytes that the largest memory of any party may take. */
  memory(variant: Variant, elements: number): number
  /** Of one batch on line, in the order of their stages. */
  messages(variant: Variant, elements: number): readonly Message[]
  cost(variant: Variant, elements: number): CompareCost
  /** Uniform over the range that calibration guarantees; the same values at every call. */
  uniform(variant: Variant, elements: number): Values
  /** A layer's activations as a plan would present them, repeated to `elements` values. */
  quantise(variant: Variant, activations: Activations, elements: number): Values
  /** Expected share of wrong signs among `values`, over the masks. */
  predictedWrong(variant: Variant, values: Values): number
  local(variant: Variant, values: Values): LocalWork | Promise<LocalWork>
  /**
   * @param links to the other two roles, metered
   * @returns after this party's off-line part
   */
  party(role: Role, variant: Variant, values: Values, links: Readonly<Partial<Record<Role, Link>>>): Promise<Party>
}
