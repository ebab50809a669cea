import { describe, expect, it } from 'vitest'
import { quote } from '../../src/model/json/fields.js'

/** `[[[…[0]…]]]` */
const nested = (depth: number): unknown => JSON.parse(`${'['.repeat(depth)}0${']'.repeat(depth)}`)

describe('quoting a value in a message', () => {
  it.each([
    [undefined, 'nothing'],
    [null, 'null'],
    ['a\nb', '"a\\nb"'],
    [[1, { a: [true, 'x'] }], '[1,{"a":[true,"x"]}]'],
    [12n, '"12"'],
    [nested(20), `${'['.repeat(20)}0${']'.repeat(20)}`],
    [Array(29).fill(1), JSON.stringify(Array(29).fill(1))],
    [Array(30).fill(1), `${JSON.stringify(Array(30).fill(1)).slice(0, 57)}...`],
    ['x'.repeat(100), `"${'x'.repeat(56)}...`],
  ])('in short, case %#', (value, text) => expect(quote(value)).toBe(text))

  it('shows the beginning of a list of a million, and of one nested a million deep', () => {
    const start = '['.repeat(57)
    expect(quote(Array(1e6).fill(1))).toBe(`${JSON.stringify(Array(40).fill(1)).slice(0, 57)}...`)
    // JSON.parse itself gives up a few thousand levels down.
    let deep: unknown = 0
    for (let i = 0; i < 1e6; i++) deep = [deep]
    expect(quote(deep)).toBe(`${start}...`)
    let objects: unknown = 0
    for (let i = 0; i < 1e5; i++) objects = { a: objects }
    expect(quote(objects)).toBe(`${'{"a":'.repeat(12).slice(0, 57)}...`)
  })
})
