// What was made of an object is made once; other arguments make something else, and only the last few are remembered.
import { expect, test } from 'vitest'
import { remembered } from '../../src/protocol/remembered.js'

test('an object and the same others: made once', () => {
  let made = 0
  const ask = remembered((of: { name: string }, ring?: number) => `${of.name} ${ring} ${++made}`)
  const [a, b] = [{ name: 'a' }, { name: 'b' }]
  expect([ask(a, 32), ask(a, 32)]).toEqual(['a 32 1', 'a 32 1'])
  expect(ask(a, 64)).toBe('a 64 2')
  expect(ask(b, 32)).toBe('b 32 3')
  expect(ask(a, 32)).toBe('a 32 1')
  // Fewer arguments are others.
  expect(ask(a)).toBe('a undefined 4')
})

test('of many others only the last few are held', () => {
  let made = 0
  const ask = remembered((_: object, terms: object) => [++made, terms])
  const [of, first] = [{}, {}]
  const before = ask(of, first)
  for (let i = 0; i < 3; i++) ask(of, {})
  expect(ask(of, first)).toBe(before)
  for (let i = 0; i < 5; i++) ask(of, {})
  expect(ask(of, first)).not.toBe(before)
})
