// What tests of views have in common: distributions over every outcome of all coins, and words as either party has them.
import { expect } from 'vitest'
import {
  type Coins,
  distribution,
  FIELDS,
  type SelectWords,
  sameDistribution,
  type Tiny,
  type View,
  wordWidth,
} from './tiny.js'

export const low = (x: number, bits: number) => x & ((1 << bits) - 1)
export const all = (bits: number) => Array.from({ length: 2 ** bits }, (_, i) => i)
export const title = ({ n, bits, f, lo, chunks }: Tiny) =>
  `n = ${n}, n' = ${bits}, f = ${f}, bits from ${lo}, [${chunks}]`

export type See<S> = (secret: S) => (coins: Coins, view: View) => void

/** All secrets give one distribution. */
export function expectBlind<S>(secrets: readonly S[], coins: number, width: number, see: See<S>): void {
  const first = distribution(coins, width, see(secrets[0]))
  for (const secret of secrets.slice(1)) {
    if (!sameDistribution(first, distribution(coins, width, see(secret)))) {
      expect.fail(`the view tells ${JSON.stringify(secret)} from ${JSON.stringify(secrets[0])}`)
    }
  }
}

/** Whether any secret gives another distribution than the first. */
export function tells<S>(secrets: readonly S[], coins: number, width: number, see: See<S>): boolean {
  const first = distribution(coins, width, see(secrets[0]))
  return secrets.slice(1).some((secret) => !sameDistribution(first, distribution(coins, width, see(secret))))
}

/** Some secret shows: what a broken variant has to do. */
export function expectTold<S>(secrets: readonly S[], coins: number, width: number, see: See<S>): void {
  expect(tells(secrets, coins, width, see), 'the broken variant went unnoticed').toBe(true)
}

/** The client's halves of one value's words. */
export const drawn = (coins: Coins, ring: Tiny): SelectWords =>
  Object.fromEntries(FIELDS.map((field) => [field, coins.take(wordWidth(field, ring))])) as unknown as SelectWords

/** What the server gets: each value less the client's half. */
export const corrections = (dealt: SelectWords, halves: SelectWords, ring: Tiny): SelectWords =>
  Object.fromEntries(
    FIELDS.map((field) => [field, low(dealt[field] - halves[field], wordWidth(field, ring))]),
  ) as unknown as SelectWords
