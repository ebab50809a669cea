// Forms of JSON: what they accept, and what they say of the rest.
import { describe, expect, it } from 'vitest'
import {
  anyObject,
  base64,
  byField,
  type Form,
  integer,
  list,
  nullable,
  number,
  object,
  oneOf,
  optional,
  problemsOf,
  text,
  tuple,
} from '../../src/model/json/form.js'

const faults = (form: Form, value: unknown) => problemsOf(form, value, 'it')

describe('a form', () => {
  const person = object({ name: text(5), age: integer(0, 150), tags: optional(list(text(3), 1, 2)) })
  const shape = byField('kind', {
    dot: object({ kind: oneOf('dot') }),
    line: object({ kind: oneOf('line'), ends: tuple(number, number) }),
  })

  it.each<[string, Form, unknown]>([
    ['a number', number, -1.5],
    ['an integer at its bounds', integer(-1, 1), -1],
    ['any integer', integer(), Number.MAX_SAFE_INTEGER],
    ['text', text(2), 'ab'],
    ['base64', base64(8), 'QUI='],
    ['no base64', base64(8), ''],
    ['a choice', oneOf(12, 20), 20],
    ['null', nullable(number), null],
    ['a list at its longest', list(number, 0, 2), [1, 2]],
    ['an object', person, { name: 'Ada', age: 36 }],
    ['an object with what it may have', person, { name: 'Ada', age: 36, tags: ['x'] }],
    ['any object', anyObject, { x: {} }],
    ['one of several', shape, { kind: 'line', ends: [0, 1] }],
  ])('takes %s', (_, form, value) => {
    expect(faults(form, value)).toEqual([])
  })

  it.each<[string, Form, unknown, string[]]>([
    ['infinity', number, Number.POSITIVE_INFINITY, ['it: expected a finite number, got null']],
    ['a fraction', integer(0, 2), 1.5, ['it: expected an integer from 0 to 2, got 1.5']],
    ['one too many', integer(0, 2), 3, ['it: expected an integer from 0 to 2, got 3']],
    ['long text', text(2), 'abc', ['it: expected text of at most 2 characters, got "abc"']],
    ['base64 of odd length', base64(8), 'QUI', ['it: expected base64 of at most 8 characters, got "QUI"']],
    ['padding in the middle', base64(8), 'Q=I=', ['it: expected base64 of at most 8 characters, got "Q=I="']],
    ['another choice', oneOf('a', 'b'), 'c', ['it: expected "a" or "b", got "c"']],
    ['a short list', list(number, 1), [], ['it: expected a list of 1 or more, got []']],
    ['a long list', tuple(number), [1, 2], ['it: expected a list of 1, got [1,2]']],
    ['a wrong item', list(list(number)), [[1], [2, 'x']], ['it.1.1: expected a finite number, got "x"']],
    ['a list for an object', person, [], ['it: expected an object, got []']],
    [
      'all fields that are wrong',
      person,
      { age: -1, size: 3 },
      [
        'it.name: expected text of at most 5 characters, got nothing',
        'it.age: expected an integer from 0 to 150, got -1',
        'it: unknown field "size"',
      ],
    ],
    ['a field of no name', shape, {}, ['it.kind: expected "dot" or "line", got nothing']],
    ['a name of objects', shape, { kind: 'toString' }, ['it.kind: expected "dot" or "line", got "toString"']],
    ['a field of another', shape, { kind: 'dot', ends: [0, 1] }, ['it: unknown field "ends"']],
    ['a prototype', person, JSON.parse('{"name":"a","age":1,"__proto__":{}}'), ['it: unknown field "__proto__"']],
    [
      'what only a prototype has',
      person,
      Object.create({ name: 'a', age: 1 }),
      [
        'it.name: expected text of at most 5 characters, got nothing',
        'it.age: expected an integer from 0 to 150, got nothing',
      ],
    ],
  ])('refuses %s', (_, form, value, problems) => {
    expect(faults(form, value)).toEqual(problems)
  })

  it('writes down so many faults and no more, however many there are', () => {
    expect(faults(list(number), Array(100_000).fill('x'))).toHaveLength(20)
    expect(faults(list(person), Array(1000).fill({ more: 1 }))).toHaveLength(20)
  })
})
