// `ringfence inspect`: the counts of the literature's networks, what a ReLU spec and weights change, and the diagram.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { inspect } from '../../../src/cli/commands/inspect.js'
import { RingfenceError } from '../../../src/errors.js'
import { parseArchitecture } from '../../../src/model/architecture.js'
import { writeSafetensors } from '../../../src/model/safetensors.js'
import { namedTensors } from '../../../src/model/weights.js'
import type { Inspection } from '../../../src/tune/inspection/inspect-network.js'
import { pickle, tuple } from '../../convert/encode.js'
import { misplaced } from '../../fixtures/drawings.js'
import { randomWeights } from '../../fixtures/networks.js'
import { committedJson, sharedFile } from '../../fixtures/reference-files.js'
import { onTerminal, run } from '../in-process.js'
import { ringfence } from '../program.js'

let dir = ''
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'ringfence-inspect-'))
})
afterEach(() => rmSync(dir, { recursive: true, force: true }))

const at = (...path: string[]) => join(dir, ...path)
function put(name: string, content: Uint8Array | object): string {
  writeFileSync(at(name), content instanceof Uint8Array ? content : JSON.stringify(content))
  return at(name)
}
const report = async (...args: string[]): Promise<Inspection> => JSON.parse(await run(inspect, '--json', ...args))
async function failure(...args: string[]): Promise<RingfenceError> {
  const error = await run(inspect, ...args).then(
    () => undefined,
    (e: unknown) => e,
  )
  expect(error).toBeInstanceOf(RingfenceError)
  return error as RingfenceError
}
const example = (name: string) => fileURLToPath(new URL(`../../vectors/examples/${name}.json`, import.meta.url))

interface SeesawRow {
  readonly printed: string
  readonly model: string
  readonly choices: string
  readonly publishedRelus: number
  readonly relus: number
  readonly match: boolean
  readonly isTypo: boolean
  readonly reluLayers: readonly unknown[]
  readonly maxPoolComparisons: number
  readonly params27: number
  readonly macs27: number
}
/** By layers. */
const ROUND_TRIPS: Record<string, { before: number; after: number }> = {
  50: { before: 142, after: 78 },
  80: { before: 212, after: 118 },
  101: { before: 261, after: 146 },
}
const seesaw = committedJson('test/vectors/seesaw.json') as { architectures: SeesawRow[] }

describe('the published Seesaw architectures, from their own choices files', () => {
  it.each(seesaw.architectures)('$model with $publishedRelus ReLUs', async (row) => {
    const arch = { format: 'arch/1', name: row.model, family: 'seesaw', params: { model: row.model } }
    const choices = `{${[...row.choices].map((bit, i) => `'default_${i + 1}': ${bit}`).join(', ')}}`
    const counted = await report(
      put('arch.json', arch),
      ...['--choices', put('choices.txt', new TextEncoder().encode(choices))],
    )
    expect(counted).toMatchObject({
      ...{ family: 'seesaw', relus: row.relus, drelus: row.relus, reluLayers: row.reluLayers.length },
      ...{ params: row.params27, macs: row.macs27, maxPoolComparisons: row.maxPoolComparisons, clipComparisons: 0 },
      published: { relus: row.publishedRelus, match: row.match },
    })
    const { published, layers, folding, roundTrips } = counted
    expect(published!.note !== undefined).toBe(!row.match || row.isTypo)
    expect(layers.reduce((sum, { relus }) => sum + relus, 0)).toBe(row.relus)
    expect(roundTrips).toBe(folding!.roundTrips.after)
    // Steps that do not wait for each other share a round trip: what is left is the depth of the network.
    expect(folding!.roundTrips).toEqual(ROUND_TRIPS[row.model.replace(/\D+/, '')])
    expect(folding!.steps.after).toBeLessThan(folding!.steps.before / 2)
    expect(roundTrips).toBeLessThan(folding!.steps.after / 4)
    // Branches side by side become few: the sample layers alone have 27 each.
    expect(folding!.convolutions).toBeLessThan(folding!.linearLayers)
  })
})

describe('a report', () => {
  it('has one entry per layer, in words', async () => {
    const { name, input, layers, backend, roundTrips, folding, ...rest } = await report(example('mnist-cnn3.arch'))
    expect({ name, input, backend, roundTrips }).toEqual({
      ...{ name: 'mnist-cnn3', input: [1, 28, 28], backend: 'mcc', roundTrips: 4 },
    })
    expect(layers[0]).toEqual({
      ...{ id: 'conv1', op: 'conv 5×5 /2', out: [8, 14, 14], params: 8 * 25, macs: 8 * 25 * 14 * 14 },
      ...{ relus: 0, drelus: 0, window: null },
    })
    expect(layers.reduce((sum, { params }) => sum + params, 0)).toBe(rest.params)
    expect(layers.reduce((sum, { macs }) => sum + macs, 0)).toBe(rest.macs)
    expect(rest).toMatchObject({ family: null, notes: [] })
    expect(rest.published).toBeUndefined()
    expect(folding!.steps.after).toBe(4)
  })

  it('of a model of the package is the same as of its folder, by variant', async () => {
    const folder = fileURLToPath(new URL('../../../models/resnet20-cifar10', import.meta.url))
    const packaged = await report('resnet20-cifar10', '--variant', '12')
    expect(packaged).toEqual(await report(folder, '--variant', '12'))
    expect(packaged.drelus).toBeLessThan(packaged.relus / 8 + 1)
    expect(packaged.layers.filter(({ window }) => window?.kind === 'block').length).toBeGreaterThan(15)
  })

  it('on securenn counts the round trips of its longer chain', async () => {
    const args = [example('resnet20-cifar10.arch'), '--backend', 'securenn']
    // Start and output are three flights, each of 19 ReLU layers nine.
    expect(await report(...args)).toMatchObject({ backend: 'securenn', roundTrips: (3 + 19 * 9) / 2 })
  })

  it('a published ProxylessNAS configuration, with its clips counted apart', async () => {
    const config = sharedFile('models/proxyless-w0.25-r112_imagenet.json')
    const file = config ? put('net.config', config) : example('proxyless-w0.25-r112.arch')
    const { relus, clipComparisons, reluLayers, family } = await report(file)
    expect(family).toBe(config ? 'proxyless' : null)
    expect(clipComparisons).toBe(2 * relus)
    expect(reluLayers).toBeGreaterThan(30)
  })

  it('an explicit file with open choices is counted, but cannot be run', async () => {
    const file = committedJson('test/vectors/examples/seesaw-tiny-expanded.arch.json') as Record<string, unknown>
    const { choices, expect: _, ...open } = file
    const { roundTrips, folding, notes, layers } = await report(put('a.json', open))
    expect([roundTrips, folding]).toEqual([null, null])
    expect(notes.join()).toMatch(/cannot be run.*choice/s)
    expect(layers.map(({ op }) => op)).toContain('choice of identity, relu')
    const made = await report(put('a.json', open), '--choices', put('c.json', choices as object))
    expect(made.roundTrips).toBeGreaterThan(0)
  })
})

describe('with more files', () => {
  const arch = () => put('a.json', committedJson('test/vectors/examples/resnet20-cifar10.arch.json') as object)

  it('a ReLU spec, as JSON or as a pickle', async () => {
    const spec = put('spec.json', committedJson('test/vectors/examples/resnet20-block.relu-spec.json') as object)
    const counted = await report(arch(), '--relu-spec', spec)
    expect(counted.drelus).toBeLessThan(counted.relus)
    const blocks = new Map([['relu', Array.from({ length: 16 }, () => tuple(4, 4))]])
    const pickled = await report(arch(), '--relu-spec', put('spec.pickle', pickle(blocks)))
    expect(pickled.relus - pickled.drelus).toBe(16 * (32 * 32 - 8 * 8))
    expect(pickled.layers.find(({ id }) => id === 'relu')!.window).toEqual({ kind: 'block' })
    const printed = await onTerminal(100, inspect, arch(), '--relu-spec', put('spec.pickle', pickle(blocks)))
    expect(printed).toMatch(/^ {2}relu +ReLU +16×32×32 +- +- +16,384 +1,024 {2}block$/m)
  })

  it('a comparison window, per layer', async () => {
    const comparison = { fractionBits: 16, lsbIgnored: 3, msbIgnored: 44 }
    const spec = { format: 'relu-spec/1', default: { kind: 'relu', comparison }, layers: {} }
    const { layers } = await report(arch(), '--relu-spec', put('spec.json', spec))
    expect(layers.find(({ id }) => id === 'relu')!.window).toEqual({ kind: 'relu', ...comparison })
    const printed = await onTerminal(100, inspect, arch(), '--relu-spec', put('spec.json', spec))
    expect(printed).toMatch(/3 low, 44 high of 2\^-16/)
  })

  it('weights, which must fit; the branches that a supernet lacks count as zeros', async () => {
    const params = { dataset: 'cifar', blockConfig: [1], ops: ['skip_connect', 'conv_3x3', 'conv_5x5'], numClasses: 2 }
    const file = { format: 'arch/1', name: 'net', family: 'seesaw', params, choices: { default_1: 1 } }
    const whole = parseArchitecture(file)
    const there = [...namedTensors(whole, randomWeights(whole, 1))].filter(([name]) => !name.includes('paths.2.'))
    const input = put('net.json', file)
    const fitted = await report(input, '--weights', put('w.safetensors', writeSafetensors(new Map(there))))
    expect(fitted.notes.join()).toMatch(/every tensor is there.*1 branch has no tensors/)
    expect(fitted.params).toBe((await report(input)).params - (64 * 64 * 25 + 2 * 64))
    const damaged = there.filter(([name]) => name !== 'classifier.bias' && !name.endsWith('norm0.weight'))
    const error = await failure(input, '--weights', put('w.safetensors', writeSafetensors(new Map(damaged))))
    expect(error.problems).toHaveLength(2)
  })

  it('everything that is wrong with them at once', async () => {
    const error = await failure(at('a.json'), '--choices', at('c.json'), '--weights', put('w', Uint8Array.of(1, 2, 3)))
    expect(error.problems.join('\n')).toMatch(
      /there is no .*a\.json.*\n.*c\.json: there is no.*\n.*\/w: expected weights/,
    )
    const flags = await failure('--backend', 'he', '--svg')
    expect(flags.problems).toHaveLength(3)
    expect((await failure(arch(), '--variant', 'x')).problems.join()).toMatch(/--variant: .* is a file, not a model/)
  })
})

describe('the diagram', () => {
  /** Names of the elements, after checking that they nest. */
  function elements(svg: string): string[] {
    const open: string[] = []
    const names: string[] = []
    for (const [, close, name, self] of svg.matchAll(/<(\/?)(\w+)(?:\s[^<>]*?)?(\/?)>/g)) {
      if (close) expect(open.pop()).toBe(name)
      else {
        names.push(name)
        if (!self) open.push(name)
      }
    }
    expect(open).toEqual([])
    expect(svg.replace(/<[^<>]*>/g, '')).not.toMatch(/[<>]|&(?!amp;|lt;|gt;|quot;)/)
    return names
  }

  it('of ResNet-20 has a box for each convolution and addition, and a bar for each ReLU layer', async () => {
    const printed = await run(inspect, 'resnet20-cifar10', '--svg', at('net.svg'))
    expect(printed).toContain(`→ ${at('net.svg')}`)
    const svg = readFileSync(at('net.svg'), 'utf8')
    // Input, 19 convolutions and 2 of shortcuts, 9 additions, average, classifier.
    expect(elements(svg).filter((name) => name === 'g')).toHaveLength(33)
    expect(svg.match(/class="fill-drelu"/g)).toHaveLength(19)
    expect(svg).toContain('conv 3×3 · BN · <tspan')
    expect(svg).toContain('>832 of 16,384<')
    expect(misplaced(svg)).toEqual([])
  })

  it('of a Seesaw network has one box for a sample layer, which lists its branches', async () => {
    await run(inspect, example('seesaw-cifar50-36864.arch'), '--svg', at('net.svg'))
    const svg = readFileSync(at('net.svg'), 'utf8')
    expect(elements(svg).filter((name) => name === 'g').length).toBeLessThan(40)
    expect(svg.match(/weighted sum of 10/g)).toHaveLength(16)
    expect(misplaced(svg)).toEqual([])
    expect(svg).toContain('skip   3×3   1×1   2×(dw 3×3 › 1×1)')
    // The stem goes to three aggregates besides the first stage.
    expect(svg.match(/<path d="M\d+,\d+ H\d+ Q/g)!.length).toBe(6)
  })

  it('does not hide in a box what goes to two places', async () => {
    const conv = { id: 'a', op: 'conv2d', in: ['x'], cout: 1, kernel: [1, 1] }
    const rest = [
      { id: 'r', op: 'relu', in: ['a'] },
      { id: 'sum', op: 'add', in: ['a', 'r'] },
    ]
    const inputs = [{ name: 'x', shape: [1, 2, 2] }]
    const arch = { format: 'arch/1', name: 'n', inputs, outputs: ['sum'], layers: [conv, ...rest] }
    await run(inspect, put('a.json', arch), '--svg', at('net.svg'))
    expect(elements(readFileSync(at('net.svg'), 'utf8')).filter((name) => name === 'g')).toHaveLength(4)
  })

  it('holds whatever a file calls its layers', async () => {
    const id = '</g>&"\u0007'
    const layers = [{ id, op: 'relu', in: ['x'] }]
    const inputs = [{ name: 'x', shape: [1, 2, 2] }]
    const file = put('a.json', { format: 'arch/1', name: '<script>', inputs, outputs: [id], layers })
    await run(inspect, file, '--svg', at('net.svg'))
    const svg = readFileSync(at('net.svg'), 'utf8')
    elements(svg)
    expect(svg).toContain('&lt;script&gt;')
    expect(svg).toContain('<title>&lt;/g&gt;&amp;&quot;?</title>')
  })
})

it.each([
  ['inspect', '--choices --relu-spec --weights --variant --svg --backend'],
  ['convert', '--output --arch --choices --to --input-shape --unwrap --force'],
])('%s --help names its flags, in 100 columns', async (command, flags) => {
  const { status, stdout } = await ringfence(command, '--help')
  for (const flag of [...flags.split(' '), '--json', '--help']) expect(stdout).toContain(`  ${flag} `)
  for (const line of stdout.split('\n')) expect(line.length).toBeLessThanOrEqual(100)
  expect(status).toBe(0)
})

it('is a command of the program', async () => {
  const { status, stdout } = await ringfence('inspect', 'mnist-cnn3')
  expect(status).toBe(0)
  expect(stdout).toMatch(/4 round trips on mcc/)
  for (const line of stdout.split('\n')) expect(line.length).toBeLessThanOrEqual(100)
})
