// `ringfence cost`, without starting the built program.
import { fileURLToPath } from 'node:url'
import { stripVTControlCharacters } from 'node:util'
import { describe, expect, test, vi } from 'vitest'
import { cost } from '../../../src/cli/commands/cost.js'
import { Flags } from '../../../src/cli/terminal/arguments.js'

const vector = (name: string) => fileURLToPath(new URL(`../../vectors/examples/${name}`, import.meta.url))

async function run(...args: string[]): Promise<string> {
  const written = vi.spyOn(process.stdout, 'write').mockReturnValue(true)
  try {
    await cost.run(new Flags(cost, args), args)
    return written.mock.calls.map(([text]) => String(text)).join('')
  } finally {
    written.mockRestore()
  }
}

const json = async (...args: string[]) => JSON.parse(await run(...args, '--json'))

describe('cost', () => {
  test('a model that comes with the package: the figures its demo meters', async () => {
    const { total, steps, backend } = await json('mnist-cnn3')
    expect([backend, total.flights, total.comparisons]).toEqual(['mcc', 8, 2864])
    expect(steps.map(({ id, op }: { id: string; op: string }) => [id, op])).toEqual([
      ['relu1', 'conv 5×5 /2, ReLU'],
      ['relu2', 'conv 3×3 /2, ReLU'],
      ['relu3', 'conv 3×3 /2, ReLU'],
      ['fc', 'linear'],
    ])
  })

  test('an architecture file and a relu-spec, no weights anywhere', async () => {
    const arch = vector('resnet8-cifar10.arch.json')
    const plain = await json(arch)
    const planned = await json(arch, '--relu-spec', vector('resnet8-12pct.relu-spec.json'))
    expect(planned.total.comparisons).toBeLessThan(0.13 * plain.total.comparisons)
    expect(planned.total.offline.helperToServer).toBeLessThan(plain.total.offline.helperToServer)
    expect(planned.published.secureNN.bytes).toBe(plain.published.secureNN.bytes)
    expect(planned.published.knapsack.bytes).toBeLessThan(plain.published.knapsack.bytes)
  })

  test('networks by name and by numbers; the one that was asked for comes first', async () => {
    const byName = await json('mnist-cnn3', '--network', 'mobile80')
    const byNumbers = await json('mnist-cnn3', '--network', '80/20/100')
    expect(byName.total.seconds).toEqual(byNumbers.total.seconds)
    expect(byName.profiles[0]).toMatchObject({ name: 'mobile80', online: byName.total.seconds.online })
    expect(byNumbers.profiles[0].name).toBe('80/20/100')
    const apart = await json('mnist-cnn3', '--network', '80/20/100', '--helper-network', '80/0.1/0.1')
    expect(apart.total.seconds.online).toBe(byName.total.seconds.online)
    expect(apart.total.seconds.offline).toBeGreaterThan(10 * byName.total.seconds.offline)
  })

  test.each([['mcc'], ['securenn']])('text on %s fits 100 columns and names every step and paper', async (backend) => {
    const text = stripVTControlCharacters(await run('resnet20-cifar10', '--variant', '06', '--backend', backend))
    const wide = text.split('\n').filter((line) => [...line].length > 100)
    expect(wide).toEqual([])
    for (const word of ['layer1.0', 'SecureNN', 'Knapsack', 'Seesaw', 'unit not stated', 'wan60', 'helper']) {
      expect(text).toContain(word)
    }
  })

  test('everything wrong with a command line is said at once, about the flags', async () => {
    await expect(run('--network', '1/2', '--bits', '40', '--output', 'all')).rejects.toMatchObject({
      code: 'BAD_INPUT',
      problems: [
        'expected one MODEL, got none',
        expect.stringContaining('--bits'),
        expect.stringContaining('--output'),
        expect.stringContaining('--network: expected one of lan'),
      ],
    })
    await expect(run('mnist-cnn3', '--backend', 'securenn', '--lo', '2')).rejects.toMatchObject({
      problems: ['--lo: an option of back end mcc, not of securenn'],
    })
    await expect(run('nowhere.json')).rejects.toMatchObject({ code: 'BAD_INPUT' })
    await expect(run(vector('resnet8-cifar10.arch.json'), '--variant', '06')).rejects.toThrow(/--variant/)
  })
})
