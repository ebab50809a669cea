// `distortion --masks`, `plan` over masks, and `plan --choices-table`, run in this process.
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, describe, expect, it } from 'vitest'
import { inspect } from '../../../src/cli/commands/inspect.js'
import { plan } from '../../../src/cli/commands/plan.js'
import { parseArchitecture } from '../../../src/model/architecture.js'
import { nestedLevels } from '../../../src/tune/distortion/nested-masks.js'
import { activationLayers, formatDistortionTable } from '../../../src/tune/distortion/table.js'
import { run } from '../in-process.js'

const folder = mkdtempSync(join(tmpdir(), 'ringfence-plan-'))
afterAll(() => rmSync(folder, { recursive: true }))
const place = (name: string) => join(folder, name)
const put = (name: string, content: object | string) => {
  writeFileSync(place(name), typeof content === 'string' ? content : JSON.stringify(content))
  return place(name)
}
const file = (name: string) => fileURLToPath(new URL(`../../../${name}`, import.meta.url))
const tiny = file('test/vectors/examples/seesaw-tiny-expanded.arch.json')
const table = put('table.json', { network: 'seesaw-tiny', choices: { default_1: [3, 0], default_2: [1, 0] } })

describe('plan --choices-table', () => {
  it('writes the flat file that inspect reads, and counts it as inspect does', async () => {
    const output = place('choices.json')
    const args = [tiny, '--choices-table', table, '--max-cost', '6000', '-o', output]
    const report = JSON.parse(await run(plan, ...args, '--json'))
    expect(report).toMatchObject({ network: 'seesaw-tiny', objective: 'drelus', cost: 5120, distortion: 1, bound: 1 })
    expect(JSON.parse(readFileSync(output, 'utf8'))).toEqual({ default_1: 1, default_2: 0 })
    const { expect: _, ...open } = JSON.parse(readFileSync(tiny, 'utf8'))
    const counted = JSON.parse(await run(inspect, put('tiny.json', open), '--choices', output, '--json'))
    expect(counted.relus).toBe(5120)
    await expect(run(plan, ...args)).rejects.toMatchObject({ code: 'BAD_INPUT' })
    expect(await run(plan, ...args, '--force')).toContain('5,120 comparisons, at most 6,000 comparisons allowed')
  })

  it('says what bytes are as a sum and as a whole', async () => {
    const args = [tiny, '--choices-table', table, '--ratio', '0.97', '--objective', 'bytes', '-o', place('b.json')]
    expect(await run(plan, ...args)).toMatch(
      /kB as a whole \(.*\skB\ssummed\sover\sthe\schoices,\swan60\),\sat\smost\s.*\skB\sallowed/,
    )
  })

  it('refuses flags of ReLU specs, a damaged table and a budget too small, and writes nothing', async () => {
    const output = place('never.json')
    const args = [tiny, '--ratio', '0.5', '-o', output, '--choices-table']
    await expect(run(plan, ...args, table, '--zero', '--distortion', 'x')).rejects.toMatchObject({
      problems: [
        '--distortion: speaks of a ReLU spec, expected none beside --choices-table',
        '--zero: speaks of a ReLU spec, expected none beside --choices-table',
      ],
    })
    const damaged = put('damaged.json', { choices: { default_1: [1, -1], default_2: 'x' } })
    const refused = await run(plan, ...args, damaged).catch((error) => error)
    expect(refused).toMatchObject({ code: 'BAD_FILE' })
    expect(refused.problems).toHaveLength(2)
    await expect(run(plan, ...args.with(2, '0.01'), table)).rejects.toMatchObject({ code: 'BAD_INPUT' })
    expect(existsSync(output)).toBe(false)
  })
})

describe('plan with masks', () => {
  const model = file('models/mnist-cnn3/arch.json')
  const arch = parseArchitecture(readFileSync(model, 'utf8'))
  /** Sharing loses much, dropping a few single elements little. */
  const layers = activationLayers(arch).map((layer) => {
    const [channels] = layer.out
    const masks = {
      count: 2,
      levels: nestedLevels(new Float64Array(layer.out.reduce((a, b) => a * b, 1)), layer.out, [0.5, 0]),
      values: Float64Array.from({ length: 2 * channels }, (_, i) => (i % 2 === 0 ? 0.01 : 1)),
    }
    const values = Float64Array.from({ length: 2 * channels }, (_, i) => i % 2)
    const blocks = [
      [1, 1],
      [0, 1],
    ] as const
    return [layer.specName ?? layer.id, { shape: layer.out, blocks, values, masks }] as const
  })
  const measured = { format: 'distortion/1', network: arch.name, images: 1, layers: new Map(layers) } as const
  const distortions = put('distortion.json', formatDistortionTable(measured))

  it('takes them, says so, and leaves them out when told', async () => {
    const args = [model, '--ratio', '0.5', '--distortion', distortions, '--json', '--output']
    const output = place('masks.json')
    const withMasks = JSON.parse(await run(plan, ...args, output))
    const blocksOnly = JSON.parse(await run(plan, ...args, place('blocks.json'), '--blocks-only'))
    expect(withMasks.distortion).toBeLessThan(blocksOnly.distortion)
    expect(withMasks.layers.some(({ blocks }: { blocks: object }) => '50 %' in blocks)).toBe(true)
    expect(readFileSync(place('blocks.json'), 'utf8')).not.toContain('"mask"')
    const counted = JSON.parse(await run(inspect, model, '--relu-spec', output, '--json'))
    expect(counted.drelus).toBe(withMasks.cost)
  })
})
