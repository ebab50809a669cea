import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { RingfenceError } from '../../src/errors.js'
import { parseArchitecture } from '../../src/model/architecture.js'
import { parseChoices } from '../../src/model/choices.js'

function failure(run: () => unknown): RingfenceError {
  try {
    run()
  } catch (error) {
    expect(error).toBeInstanceOf(RingfenceError)
    expect((error as RingfenceError).code).toBe('BAD_FILE')
    return error as RingfenceError
  }
  throw new Error('expected an error')
}

const zeros = (count: number) => Object.fromEntries(Array.from({ length: count }, (_, i) => [`default_${i + 1}`, 0]))

function seesaw(params: object, choices?: unknown, rest: object = {}): object {
  return { format: 'arch/1', name: 'net', family: 'seesaw', params, ...(choices ? { choices } : {}), ...rest }
}

const cifar50 = { model: 'cifarsupermodel50', ops: 10 }

describe('choices files', () => {
  it('are JSON, or a dict as Python prints it', () => {
    const choices = { default_1: 0, default_2: 1 }
    for (const text of [
      '{"default_1": 0, "default_2": 1}',
      "{'default_1': 0, 'default_2': 1}",
      ' {\n  "default_1" : 0,\n  \'default_2\' :1,\n}\n',
    ]) {
      expect(parseChoices(text), text).toEqual(choices)
    }
    expect(parseChoices(choices)).toEqual(choices)
    expect(parseChoices('{ }')).toEqual({})
  })

  it('every fault is reported at once', () => {
    const text = `{"a": 0, 'b': -1, "a": 1, "c": true, "d": 1e9, "e": , "f": 99999999999}`
    expect(failure(() => parseChoices(text, 'f.json')).problems).toEqual([
      'choices["b"]: expected an integer >= 0, got "-1"',
      'choices["a"]: expected every key once, got it again',
      'choices["c"]: expected an integer >= 0, got "true"',
      'choices["d"]: expected an integer >= 0, got "1e9"',
      'choices["e"]: expected an integer >= 0, got ""',
      'choices["f"]: expected an integer >= 0, got "99999999999"',
    ])
    expect(failure(() => parseChoices({ a: 1.5, b: [], c: -1 })).problems).toHaveLength(3)
  })

  it.each(['', '[]', '{', '{"a": 0} x', '{"a": {"b": 0}}', '{"a" 0}', '{"a": 0,, "b": 0}', '{a: 0}', '7'])(
    'is none: %s',
    (text) => {
      expect(failure(() => parseChoices(text)).problems).toHaveLength(1)
    },
  )

  it('a text beyond any choices file is not read', () => {
    expect(failure(() => parseChoices(`{${'"a": 0,'.repeat(20_000)}}`)).message).toContain('140002 characters')
  })

  it('whatever comes, it is choices or a typed error', () => {
    const token = fc.constantFrom('{', '}', '"', "'", 'k', ':', ',', '0', '1', ' ', '\n', '\\', '__proto__', '-')
    fc.assert(
      fc.property(
        fc.oneof(
          fc.string(),
          fc.array(token, { maxLength: 30 }).map((t) => `{${t.join('')}}`),
        ),
        (text) => {
          try {
            for (const value of Object.values(parseChoices(text))) expect(Number.isSafeInteger(value)).toBe(true)
          } catch (error) {
            expect(error).toBeInstanceOf(RingfenceError)
          }
        },
      ),
      { numRuns: 3000 },
    )
  })
})

describe('choices of a network', () => {
  it('come from a file beside it, instead of its own', () => {
    const choices = { ...zeros(16), default_16: 1 }
    const given = parseArchitecture(seesaw(cifar50, zeros(16)), 'arch.json', choices)
    expect(given).toEqual(parseArchitecture(seesaw(cifar50, choices)))
    expect(parseArchitecture(seesaw(cifar50), 'arch.json', choices)).toEqual(given)
  })

  it.each([
    [8, 'cifarsupermodel16 (block config 2,2,2,2)'],
    [26, 'cifarsupermodel80 (block config 3,4,16,3)'],
    [33, 'cifarsupermodel101 (block config 3,4,23,3)'],
    [50, 'cifarsupermodel152 (block config 3,8,36,3)'],
  ])('%i keys for 16 sample layers: one error that names the model they fit', (count, model) => {
    const { problems } = failure(() => parseArchitecture(seesaw(cifar50, zeros(count))))
    expect(problems).toHaveLength(1)
    expect(problems[0]).toContain(`default_1 to default_16, one per sample layer: expected 16 keys, got ${count} keys`)
    expect(problems[0]).toContain(`; ${count} keys fit ${model}`)
  })

  it('keys that fit a model of the other data set, several models or none', () => {
    const problemOf = (params: object, count: number) =>
      failure(() => parseArchitecture(seesaw(params, zeros(count)))).problems.join()
    expect(problemOf({ model: 'cifarsupermodel16' }, 6)).toContain('6 keys fit cifarsupermodel22')
    expect(problemOf({ model: 'supermodel50' }, 6)).toContain(
      '6 keys fit supermodel8 (block config 2,2,2) or supermodel16',
    )
    expect(problemOf({ model: 'supermodel50' }, 26)).toContain('26 keys fit cifarsupermodel80')
    expect(problemOf(cifar50, 17)).toContain('no published model has 17 keys, they have 4, 6, 8, 16, 26, 33, 50')
  })

  it('no choices, another spelling of the keys, and values beyond the options', () => {
    const none = failure(() => parseArchitecture(seesaw(cifar50))).problems
    expect(none).toHaveLength(1)
    expect(none[0]).toMatch(/expected 16 keys, got 0 keys: missing "default_1", .* and 10 more$/)
    const renamed = Object.fromEntries(Object.keys(zeros(16)).map((key) => [key.replace('default_', 'layer'), 0]))
    const wrong = failure(() => parseArchitecture(seesaw(cifar50, renamed))).problems[0]
    expect(wrong).toContain('missing "default_1"')
    expect(wrong).toContain('unknown "layer1"')
    const values = { ...zeros(16), default_3: 2, default_4: 'relu', default_5: 1e300 }
    expect(failure(() => parseArchitecture(seesaw(cifar50, values))).problems).toHaveLength(3)
  })

  it('an explicit file may leave choices open, but has none for keys it lacks; a choices file makes them all', () => {
    const of = [{ op: 'identity' }, { op: 'relu' }]
    const layers = ['a', 'b'].map((id, i) => ({ id, op: 'choice', in: [i === 0 ? 'x' : 'a'], key: `k${i}`, of }))
    const inputs = [{ name: 'x', shape: [4] }]
    const file = { format: 'arch/1', name: 'net', inputs, outputs: ['b'], layers, choices: { k1: 1 } }
    expect(parseArchitecture(file).layers.map((layer) => layer.op === 'choice' && layer.chosen)).toEqual([undefined, 1])
    const unknown = failure(() => parseArchitecture({ ...file, choices: { k1: 1, k2: 0 } })).problems
    expect(unknown).toEqual(['file: choices: expected 1 key, got 2 keys: unknown "k2"'])
    const beside = failure(() => parseArchitecture(file, 'arch.json', { k0: 1 })).problems
    expect(beside).toEqual(['file: choices: expected 2 keys, got 1 key: missing "k1"'])
  })
})

describe('hostile short files', () => {
  it('a file full of faults names them all', () => {
    const { problems } = failure(() =>
      parseArchitecture({
        format: 'arch/2',
        name: '',
        family: 'seesaw',
        params: { dataset: 'mnist', blockConfig: [0], ops: ['conv_9x9'], kept: 3, numClasses: -1, depth: 1 },
        choices: [],
        inputs: [{ shape: [3, 0, 1] }],
        weights: { layout: 'caffe' },
        extra: true,
      }),
    )
    const marks = [
      'format',
      'name',
      'dataset',
      'blockConfig',
      'ops',
      'kept',
      'numClasses',
      '"depth"',
      'choices',
      'shape',
      'layout',
      '"extra"',
    ]
    for (const mark of marks)
      expect(
        problems.filter((problem) => problem.includes(mark)),
        mark,
      ).not.toEqual([])
    expect(problems).toHaveLength(marks.length)
  })

  it.each([
    ['deep configs', { dataset: 'cifar', blockConfig: Array(10_000).fill(1) }],
    ['endless stages', { dataset: 'cifar', blockConfig: [1, 2 ** 40] }],
    ['no stage', { dataset: 'cifar', blockConfig: [] }],
    ['a fraction', { dataset: 'cifar', blockConfig: [1.5] }],
    ['huge classes', { dataset: 'cifar', blockConfig: [1], numClasses: 2 ** 40 }],
    ['an unknown model', { model: 'constructor' }],
    ['a model and a config', { model: 'cifarsupermodel50', blockConfig: [1] }],
    ['an op twice', { dataset: 'cifar', blockConfig: [1], ops: ['none', 'none'] }],
    ['no ops', { dataset: 'cifar', blockConfig: [1], ops: [] }],
  ])('%s', (_, params) => {
    expect(failure(() => parseArchitecture(seesaw(params, { default_1: 1 }))).problems.length).toBeGreaterThan(0)
  })

  it('stages beyond the size of the map, an endless map and another family', () => {
    const eight = { dataset: 'cifar', blockConfig: Array(8).fill(1), ops: ['none'] }
    expect(failure(() => parseArchitecture(seesaw(eight, zeros(8)))).problems.join()).toContain('would be empty')
    const inputs = [{ shape: [3, 2 ** 20, 2 ** 20] }]
    expect(failure(() => parseArchitecture(seesaw(cifar50, zeros(16), { inputs }))).problems[0]).toContain('elements')
    for (const family of ['toString', 'unheard', 7, null]) {
      const { problems } = failure(() => parseArchitecture({ ...seesaw(cifar50, zeros(16)), family }))
      expect(problems.join(), String(family)).toContain('family: expected one of')
    }
  })

  it('an input may be described further, not renamed', () => {
    const preprocess = { scale: 0.5, mean: [1, 2, 3], std: [4, 5, 6] }
    const arch = parseArchitecture(seesaw(cifar50, zeros(16), { inputs: [{ preprocess }] }))
    expect(arch.inputs).toEqual([{ name: 'x', shape: [3, 32, 32], preprocess }])
    const two = seesaw(cifar50, zeros(16), { inputs: [{ name: 'y' }, { name: 'z' }] })
    expect(failure(() => parseArchitecture(two)).problems).toHaveLength(2)
  })

  it('labels set the number of classes', () => {
    const arch = parseArchitecture(seesaw(cifar50, zeros(16), { labels: ['cat', 'dog'] }))
    expect(arch.byId.get('classifier')!.out).toEqual([2])
    const five = seesaw({ ...cifar50, numClasses: 5 }, zeros(16), { labels: ['cat', 'dog'] })
    expect(failure(() => parseArchitecture(five)).problems[0]).toContain('labels: expected 5')
  })
})
