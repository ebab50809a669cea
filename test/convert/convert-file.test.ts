// What one file becomes, by its bytes and what is known beside them: weights, masks from trained factors, networks written out.
import { describe, expect, it } from 'vitest'
import { type ConvertOptions, convertFile } from '../../src/convert/convert-file.js'
import { RingfenceError } from '../../src/errors.js'
import { parseArchitecture } from '../../src/model/architecture.js'
import { parseReluSpec } from '../../src/model/relu/spec.js'
import { readSafetensors, writeSafetensors } from '../../src/model/safetensors.js'

const network = {
  ...{ format: 'arch/1', name: 'two', inputs: [{ name: 'x', shape: [3] }], outputs: ['c'] },
  layers: [
    { id: 'a', op: 'linear', in: ['x'], cout: 10 },
    { id: 'r', op: 'relu', in: ['a'] },
    { id: 'b', op: 'linear', in: ['r'], cout: 4 },
    { id: 's', op: 'relu', in: ['b'] },
    { id: 'c', op: 'linear', in: ['s'], cout: 2 },
  ],
}
const arch = { json: network, path: 'arch.json' }

type Floats = Record<string, { shape: number[]; data: Float32Array }>
const floats = (shape: number[], at: (i: number) => number = (i) => i / 8) => ({
  shape,
  data: Float32Array.from({ length: shape.reduce((product, size) => product * size, 1) }, (_, i) => at(i)),
})
const WEIGHTS: Floats = Object.fromEntries(
  [
    ['a', 10, 3],
    ['b', 4, 10],
    ['c', 2, 4],
  ].flatMap(([id, out, fan]) => [
    [`${id}.weight`, floats([out as number, fan as number])],
    [`${id}.bias`, floats([out as number])],
  ]),
)
const FACTORS: Floats = {
  'r.alpha': floats([1, 10], (i) => (i % 3 === 0 ? 0.5 : 0.005)), // elements 0, 3, 6 and 9
  's.alpha': floats([4], (i) => (i === 2 ? 0.02 : 0.01)), // element 2: the threshold itself is none
}
const file = (tensors: Floats) => writeSafetensors(new Map(Object.entries(tensors)))

/** A file whose one tensor is of another type. */
function typed(dtype: string, bytes: number[], name = 'a.weight'): Uint8Array {
  const entry = { [name]: { dtype, shape: [2], data_offsets: [0, bytes.length] } }
  const header = new TextEncoder().encode(JSON.stringify(entry))
  const length = new Uint8Array(8)
  new DataView(length.buffer).setUint32(0, header.length, true)
  return Uint8Array.from([...length, ...header, ...bytes])
}

const text = (bytes: Uint8Array) => JSON.parse(new TextDecoder().decode(bytes))

async function refusal(bytes: Uint8Array, options: ConvertOptions): Promise<RingfenceError> {
  const error = await convertFile(bytes, { source: 'file', ...options }).catch((error) => error)
  expect(error).toBeInstanceOf(RingfenceError)
  return error
}

describe('factors of ReLUs', () => {
  const options = { arch, masks: '.alpha', drop: [] }

  it('become masks, a bit per element, where they are above the threshold', async () => {
    const { products, counts, notes } = await convertFile(file({ ...WEIGHTS, ...FACTORS }), options)
    expect(products.map(({ target }) => target)).toEqual(['safetensors', 'relu-spec'])
    const spec = text(products[1].bytes)
    const bits = (id: string) => [...Buffer.from(spec.layers[id].bits, 'base64')]
    expect([bits('r'), bits('s')]).toEqual([[0b01001001, 0b10], [0b100]])
    expect(parseReluSpec(spec, parseArchitecture(network)).drelus).toBe(5)
    expect(counts).toEqual({ tensors: 6, elements: 30 + 10 + 40 + 4 + 8 + 2, drelus: 5 })
    expect(notes.at(-1)).toBe('ReLU spec from 2 tensors: a ReLU where a factor is above 0.01, else unchanged')
    expect([...readSafetensors(products[0].bytes, 'weights').keys()]).not.toContain('r.alpha')
  })

  it('that do not fit are named, all at once', async () => {
    const few = await refusal(file({ ...WEIGHTS, 'r.alpha': floats([9]) }), options)
    expect([few.code, few.problems]).toEqual([
      'BAD_FILE',
      ['expected masks for 2 activations, found 1', 'tensor "r.alpha": expected [10] as "r" has it, got [9]'],
    ])
  })

  it('are asked for by name, and of weights alone', async () => {
    const only = await convertFile(file({ ...WEIGHTS, ...FACTORS }), { ...options, to: 'relu-spec' })
    expect(only.products.map(({ target }) => target)).toEqual(['relu-spec'])
    const { code, problems } = await refusal(file(WEIGHTS), { arch, to: 'relu-spec' })
    expect([code, problems]).toEqual(['BAD_INPUT', ['to: expected safetensors or arch, got relu-spec']])
  })
})

describe('weights without a network', () => {
  it('are taken as they are, below a prefix where one is given', async () => {
    const { products, counts, notes } = await convertFile(
      file({ 'm.a': floats([2]), 'm.b': floats([3]), n: floats([1]) }),
      {
        stripPrefix: 'm.',
      },
    )
    expect([...readSafetensors(products[0].bytes, 'x')].map(([name, { data }]) => [name, [...data!]])).toEqual([
      ['a', [0, 0.125]],
      ['b', [0, 0.125, 0.25]],
    ])
    expect([counts, notes]).toEqual([{ tensors: 2, elements: 5 }, []])
  })

  it('of half precision are widened, and said to be', async () => {
    const { products, notes } = await convertFile(typed('F16', [0x00, 0x3c, 0x00, 0xc0]))
    expect([...readSafetensors(products[0].bytes, 'x').get('a.weight')!.data!]).toEqual([1, -2])
    expect(notes).toEqual(['elements of F16 are now float32'])
  })

  it('of which none are floats are refused', async () => {
    const { code, message } = await refusal(typed('I8', [1, 2]), {})
    expect(code).toBe('BAD_FILE')
    expect(message).toContain('expected tensors of floats, found 1 of other types')
  })

  it('become no architecture', async () => {
    const { code, problems } = await refusal(file(WEIGHTS), { to: 'arch' })
    expect([code, problems]).toEqual(['BAD_INPUT', ['arch: expected the network that these weights are for, got none']])
  })
})

describe('weights of a network', () => {
  it('come with it, written out, on demand', async () => {
    const options = { arch, withArchitecture: true, mean: [0.5], scale: 1 / 255 }
    const { products, notes } = await convertFile(file(WEIGHTS), options)
    expect(products.map(({ target }) => target)).toEqual(['arch', 'safetensors'])
    expect(parseArchitecture(text(products[0].bytes)).layers.map(({ id }) => id)).toEqual(['a', 'r', 'b', 's', 'c'])
    expect(notes[0]).toBe('every tensor of "two" is there')
    const again = readSafetensors(products[1].bytes, 'x')
    for (const [name, { data }] of Object.entries(WEIGHTS)) expect(again.get(name)!.data, name).toEqual(data)
  })

  it('that lack one are refused with its name', async () => {
    const { 'b.bias': _, ...rest } = WEIGHTS
    expect((await refusal(file(rest), { arch })).problems.join()).toContain('"b.bias"')
  })
})

describe('how pictures become inputs', () => {
  const layers = [
    { id: 'c', op: 'conv2d', in: ['x'], cout: 2, kernel: [1, 1], bias: false },
    { id: 'p', op: 'globalAvgPool', in: ['c'] },
    { id: 'f', op: 'flatten', in: ['p'] },
  ]
  const json = { format: 'arch/1', name: 'three', inputs: [{ name: 'x', shape: [3, 4, 4] }], outputs: ['f'], layers }
  const options = { arch: { json, path: 'arch.json' }, withArchitecture: true }
  const weights = file({ 'c.weight': floats([2, 3, 1, 1]) })
  const pictures = (notes: readonly string[]) => notes.filter((note) => note.includes('pictures'))

  it('is said of weights with their network as well, and asked about where nothing says it', async () => {
    expect(pictures((await convertFile(weights, options)).notes)).toEqual([
      'input "x": pictures will have values 0 … 255; if the network was trained on 0 … 1, -1 … 1 or normalised ones, say so with scale, mean and std',
    ])
    expect(pictures((await convertFile(weights, { ...options, withArchitecture: false })).notes)).toEqual([])
  })

  it('and written by options, with labels', async () => {
    const said = { ...options, scale: 1 / 255, mean: [0.5], std: [0.25, 0.5, 0.25], bgr: true, labels: ['cat', 'dog'] }
    const { products, notes } = await convertFile(weights, said)
    expect(pictures(notes)).toEqual(['input "x": pictures will have values -2 … 2, -1 … 1, -2 … 2, blue first'])
    const made = text(products[0].bytes)
    expect(made.labels).toEqual(['cat', 'dog'])
    expect(made.inputs[0].preprocess).toEqual({ scale: 1 / 255, mean: [0.5], std: [0.25, 0.5, 0.25], order: 'bgr' })
    const [input] = parseArchitecture(made).inputs
    expect(input.preprocess.mean).toEqual([0.5, 0.5, 0.5])
  })

  it('options that do not fit are all named', async () => {
    const wrong = { ...options, mean: [1, 2], std: [0] }
    const { code, problems } = await refusal(weights, wrong)
    expect([code, problems]).toEqual([
      'BAD_INPUT',
      ['mean: expected 1 or 3 numbers, one per channel, got 2', 'std: expected numbers > 0, got 0'],
    ])
    expect((await refusal(weights, { ...options, labels: ['cat'] })).problems.join()).toMatch(/labels: expected 2/)
  })
})

describe('other files', () => {
  it('a network in short form is written out layer by layer', async () => {
    const inputs = [{ name: 'x', shape: [3, 64, 64] }]
    const short = { format: 'arch/1', name: 'flowers', family: 'resnet', params: { depth: 18, numClasses: 5 }, inputs }
    const json = (value: unknown) => new TextEncoder().encode(JSON.stringify(value))
    const { products, counts, format } = await convertFile(json(short))
    const whole = parseArchitecture(text(products[0].bytes))
    expect([format, products[0].target, counts.layers]).toEqual(['json', 'arch', whole.layers.length])
    expect(text(products[0].bytes).layers).toHaveLength(whole.layers.length)
    expect(whole.layers).toEqual(parseArchitecture(short).layers)
    expect((await refusal(json({ ...short, params: { depth: 19 } }), {})).code).toBe('BAD_FILE')
  })

  it('that are no model are refused as what they are', async () => {
    expect((await refusal(Uint8Array.of(1, 2, 3), {})).code).toBe('BAD_FILE')
    const hdf5 = Uint8Array.of(0x89, 0x48, 0x44, 0x46, 0x0d, 0x0a, 0x1a, 0x0a)
    const { code, message } = await refusal(hdf5, {})
    expect(code).toBe('UNSUPPORTED')
    expect(message).toMatch(/HDF5/i)
  })

  it('a ReLU spec wants its network', async () => {
    const pickle = Uint8Array.of(0x80, 4, 0x7d, 0x2e) // {}
    const { code, problems } = await refusal(pickle, {})
    expect([code, problems]).toEqual(['BAD_INPUT', ['arch: expected the network that this ReLU spec is for, got none']])
  })
})
