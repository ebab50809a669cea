// The comparison bench: bytes and flights to the byte, rates of wrong signs against E2, output, and what it refuses.
// No time is asserted but the 20 s that a quick look may take.
import { execFile } from 'node:child_process'
import { mkdtemp, readFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { build } from 'tsup'
import { beforeAll, describe, expect, test } from 'vitest'
import type { Activations, Backend, Variant } from '../../bench/compare/backend.js'
import { type Host, playInThread } from '../../bench/compare/host.js'
import { mcc, sensibleShapes, wrongSignProbability } from '../../bench/compare/mcc/backend.js'
import { chainOf, gadgetOf } from '../../bench/compare/mcc/gadget.js'
import { description } from '../../bench/compare/options.js'
import { metered } from '../../bench/compare/parties.js'
import { csv, text } from '../../bench/compare/report.js'
import { type CompareRow, type Comparison, compare } from '../../bench/compare/rows.js'
import { countFlights } from '../../bench/compare/waves.js'
import { BACKENDS, benchCompare } from '../../bench/suites/compare.js'
import { circumstances } from '../../src/cli/report/circumstances.js'
import { commandHelp } from '../../src/cli/terminal/help-text.js'
import { loadKernels } from '../../src/kernels/instance.js'
import { misplaced } from '../fixtures/drawings.js'

const variantsOf = (bits: number, backend: Backend = mcc): readonly Variant[] => {
  const found = backend.variants(bits)
  return 'unsupported' in found ? [] : found
}

/** Everything in this thread; what is printed and written is kept. */
function threadHost(activations: Activations | null = null) {
  const printed: string[] = []
  const files = new Map<string, string>()
  let jobs = 0
  const host: Host = {
    place: 'one thread',
    memory: 2 ** 30,
    columns: 80,
    circumstances,
    endToEnd: (job) => {
      jobs++
      return playInThread(BACKENDS, job)
    },
    activations: async () => activations,
    print: (text) => void printed.push(text),
    progress: () => {},
    unwritable: async (file) => (file.startsWith('/nowhere') ? 'there is no such folder' : null),
    write: async (file, text) => void files.set(file, text),
    close: () => {},
  }
  return { host, printed, files, jobs: () => jobs }
}

describe('shapes', () => {
  test('every sensible one has smaller tables than those of fewer chunks', () => {
    expect(sensibleShapes(16).map((chunks) => chunks.length)).toEqual([2, 3, 4, 5, 6])
    expect(sensibleShapes(4)).toEqual([[4]])
  })

  test('a whole ReLU goes as far as k <= n - f, the comparison alone to 64 bits', () => {
    const operations = (bits: number) => new Set(variantsOf(bits).map(({ operation }) => operation))
    expect(operations(20)).toEqual(new Set(['comparison', 'relu']))
    expect(operations(21)).toEqual(new Set(['comparison']))
    expect(operations(32)).toEqual(new Set(['comparison']))
    expect(operations(64)).toEqual(new Set(['comparison']))
  })
})

describe('declared cost', () => {
  // Design figures per comparison of 8, 12 and 16 bits: rows on line, tables off line; then 16 bits of e, 1 of β, 32 of [ρ].
  test.each([
    [8, 2, 4, 8],
    [12, 3, 9, 18],
    [16, 4, 16, 30],
    [16, 3, 9, 44],
  ])('%i bits in %i chunks: %i bits of rows, %i bytes of tables', (bits, t, rows, tables) => {
    const variant = variantsOf(bits).find(({ shape }) => shape.length === t)!
    const { online, offline } = mcc.cost(variant, 800)
    expect(online).toEqual({ up: 8 + 100, down: 8 + 1600 + 100 * rows, helper: 0, flights: 2 })
    expect(offline).toEqual({ clientDown: 0, clientUp: 0, helperToServer: 8 + 800 * (tables + 4) })
  })

  test.each([1, 7, 16, 20, 32])('is what three meters show, %i bits, odd number of elements', async (bits) => {
    for (const variant of variantsOf(bits)) {
      const job = { variant, elements: 1003, warmup: 1, runs: 2 }
      const flights = await countFlights(mcc, variant)
      expect(metered(await playInThread(BACKENDS, job), job, flights)).toEqual(mcc.cost(variant, 1003))
    }
  })
})

describe('wrong signs', () => {
  /** By the definition: the carry of the low bits over every mask. */
  function overMasks(v: number, bits: number, lo: number, add: number): number {
    const [size, unit] = [2 ** bits, 2 ** lo]
    let wrong = 0
    for (let r = 0; r < size; r++) {
      const e = (((v - r) % size) + size + add) % size
      const sum = (Math.floor(e / unit) + Math.floor(r / unit)) % 2 ** (bits - lo)
      if (sum < 2 ** (bits - lo - 1) !== v >= 0) wrong++
    }
    return wrong / size
  }

  test.each([0, 1, 2, 4])('predicted = counted over all masks of 7 bits, %i ignored, plain and centred', (lo) => {
    for (const add of lo === 0 ? [0] : [0, 2 ** (lo - 1)]) {
      for (let v = -32; v < 32; v++) {
        expect(wrongSignProbability(v, lo, add), `v ${v}, add ${add}`).toBe(overMasks(v, 7, lo, add))
      }
    }
  })

  test('the formula of E2 without centring: (2^lo - 1 - v) / 2^lo, only for 0 <= v < 2^lo', () => {
    expect([-1, 0, 3, 15, 16].map((v) => wrongSignProbability(v, 4, 0))).toEqual([0, 15 / 16, 12 / 16, 0, 0])
    expect([-9, -8, -1, 0, 7, 8].map((v) => wrongSignProbability(v, 4, 8))).toEqual([0, 1 / 16, 8 / 16, 7 / 16, 0, 0])
  })

  test.each([1, 4, 8, 12, 16, 24])('measured = predicted within 5 standard deviations, %i bits', async (bits) => {
    for (const variant of variantsOf(bits)) {
      const values = mcc.uniform(variant, 20_000)
      const work = await mcc.local(variant, values)
      const signs = work.signs()
      const wrong = [...values].filter((v, i) => v >= 0 !== (signs[i] === 1)).length
      const expected = mcc.predictedWrong(variant, values) * values.length
      expect(Math.abs(wrong - expected)).toBeLessThanOrEqual(5 * Math.sqrt(expected))
    }
  })

  test('a whole ReLU gives the value where its sign says so, else zero', async () => {
    const variant = variantsOf(8).find(({ operation }) => operation === 'relu')!
    const values = mcc.uniform(variant, 3001) as Int32Array
    const gadget = gadgetOf(loadKernels(), variant, values)
    const material = gadget.take(gadget.deal())
    const opened = gadget.open(material)
    const reply = gadget.answer(opened.message)
    const results = gadget.finish(opened, material, reply)!.i32()
    const signs = (await mcc.local(variant, values)).signs()
    expect([...results]).toEqual([...values].map((v, i) => (signs[i] ? v : 0)))
    expect(chainOf(variant)).toMatchObject({ bits: 16, lo: 8, add: 128 })
  })
})

describe('the report', () => {
  const activations = { layer: 'conv', values: Float32Array.of(-0.5, 0.001, 0.25, 1), scale: 12, bits: 16 }
  const { host, printed, files } = threadHost(activations)
  let measured: Comparison

  beforeAll(async () => {
    const flags = ['--quick', '--bits=1,8', '--elements', '512', '--json', '--svg', 'a.svg', '--html=a.html']
    measured = (await benchCompare(flags, host))!
  })

  test('every row has the fields of the machine-readable form, in whole batches', () => {
    const times = { clientNs: expect.any(Number), serverNs: expect.any(Number), helperNs: expect.any(Number) }
    const figures = { ...times, spread: times }
    for (const row of measured.rows) {
      const { online, offline } = BACKENDS.find(({ name }) => name === row.backend)!.cost(row, 512)
      expect(row).toMatchObject({ elements: 512, local: figures, online, offline })
      expect(row.endToEnd.perSecond).toBeGreaterThan(0)
      expect(row.endToEnd).toMatchObject({ runs: 5, spread: expect.any(Number) })
      expect(row.wrongSign.layer).toMatchObject({ name: 'conv' })
    }
    const measuredOf = (name: string) => measured.rows.flatMap(({ backend, bits }) => (backend === name ? bits : []))
    expect(measuredOf('mcc')).toEqual([1, 1, 8, 8, 8])
    expect(measuredOf('securenn')).toEqual([8, 8])
    expect(measured.unsupported).toMatchObject([{ backend: 'securenn', bits: 1 }])
  })

  test('marks the best per back end and bit count, for bytes and for time', () => {
    const marked = (criterion: 'bytes' | 'time') =>
      measured.rows.filter(({ operation, best }) => operation === 'comparison' && best.includes(criterion))
    const named = (rows: readonly CompareRow[]) => rows.map(({ backend, bits }) => `${backend} ${bits}`)
    expect(named(marked('bytes'))).toEqual(['mcc 1', 'mcc 8', 'securenn 8'])
    expect(named(marked('time'))).toEqual(['mcc 1', 'mcc 8', 'securenn 8'])
    expect(marked('bytes')[1].shape).toEqual([4, 4])
  })

  test('JSON, charts and page hold both back ends, and say when and on what they were made', () => {
    const { compare: rows, ...rest } = JSON.parse(printed[0]) as { compare: CompareRow[] }
    expect(rows).toEqual(measured.rows)
    expect(rest).toMatchObject(measured.circumstances)
    const [charts, page] = [files.get('a.svg')!, files.get('a.html')!]
    expect(charts).toMatch(/^<svg [\s\S]*<\/svg>\n$/)
    expect(misplaced(charts)).toEqual([])
    for (const shown of [charts, page]) {
      expect(shown).not.toMatch(/NaN|Infinity|undefined/)
      for (const name of ['mcc', 'securenn']) expect(shown).toContain(`>${name}: on line`)
      // In a chart it may take two lines.
      expect(shown).toContain(measured.circumstances.date.slice(0, 10))
    }
    expect(page).toContain(`ringfence ${measured.circumstances.ringfence}`)
    expect(page.match(/<svg /g)).toHaveLength(4)
  })

  test('CSV has one line per row, all of one length, and the machine in each', () => {
    const cells = (line: string) => [...line.matchAll(/(?:^|,)("(?:[^"]|"")*"|[^,]*)/g)].map(([, cell]) => cell)
    const lines = csv(measured).split('\n').map(cells)
    expect(lines).toHaveLength(measured.rows.length + 1)
    expect(new Set(lines.map((line) => line.length))).toEqual(new Set([lines[0].length]))
    expect(lines[0]).toEqual(expect.arrayContaining(['offline.helperToServer', 'endToEnd.spread', 'machine', 'date']))
    expect(lines[1][lines[0].indexOf('date')]).toBe(measured.circumstances.date)
  })

  test('the tables fit 80 columns, say what is missing and what the network is', () => {
    const table = text(measured, 80)
    expect(table.split('\n').filter((line) => [...line].length > 80)).toEqual([])
    expect(table).toMatch(/^ {2}mcc 8: 4\+4 .* \d+\.\d\d M\/s [* ] +\d+ %$/m)
    expect(table.replace(/\s+/g, ' ')).toContain('securenn 1: none, the odd ring')
    expect(table.replace(/\s+/g, ' ')).toContain('server–helper has 1 Gbit/s')
  })

  test('the tables shorten shapes of many chunks', () => {
    const [row] = measured.rows
    const shape = [5, 4, 4, 4, 5, 5, 3, 3, 3, 3]
    expect(text({ ...measured, rows: [{ ...row, shape }] }, 120)).toContain(': 5+3×4+5+5+4×3  ')
  })
})

describe('a back end that cannot do every bit count', () => {
  const unsupported = 'its words have 32 bits'
  const narrow: Backend = { ...mcc, variants: (bits) => (bits > 32 ? { unsupported } : mcc.variants(bits)) }
  const backends = [narrow]

  test('says so beside what it can', async () => {
    const options = { bits: [4, 64], backends, elements: 64, format: 'json', quick: true } as const
    const { host } = threadHost()
    const { rows, unsupported: left } = await compare(options, host)
    expect(new Set(rows.map(({ bits }) => bits))).toEqual(new Set([4]))
    expect(left).toMatchObject([{ backend: 'mcc', bits: 64 }])
  })

  test('is refused when nothing is left', async () => {
    const options = { bits: [64], backends, elements: 64, format: 'json', quick: true } as const
    const { host, jobs } = threadHost()
    const refused = { code: 'UNSUPPORTED', message: expect.stringMatching(/mcc, 64 bits: its words/) }
    await expect(compare(options, host)).rejects.toMatchObject(refused)
    expect(jobs()).toBe(0)
  })
})

describe('bad input: one error, before any work', () => {
  test.each([
    [['--bits', '0,8'], 'BAD_INPUT', /--bits: expected whole numbers from 1 to 64, got 0,8/],
    [['--bits', '65'], 'BAD_INPUT', /from 1 to 64/],
    [['--bits', '8,x'], 'BAD_INPUT', /got 8,x/],
    [['--bits', '8', '--ignored', '64'], 'BAD_INPUT', /--ignored: expected a whole number from 0 to 56, got 64/],
    [['--ignored', '1.5'], 'BAD_INPUT', /--ignored: expected a whole number/],
    [['--bits', '1', '--backend', 'securenn'], 'UNSUPPORTED', /securenn, 1 bits: the odd ring/],
    [['--bits='], 'BAD_INPUT', /--bits needs a value/],
    [['--bits', ','], 'BAD_INPUT', /--bits: expected at least one/],
    [['--backend', 'magic'], 'BAD_INPUT', /--backend: expected one of mcc, securenn, got magic/],
    [['--elements', '1e3'], 'BAD_INPUT', /--elements: expected a whole number/],
    [['--elements', '999999999999'], 'BAD_INPUT', /1\.0 GiB are there; ask for at most \d+/],
    [['--svg', '/nowhere/a.svg'], 'BAD_INPUT', /no such folder/],
    [['--svg'], 'BAD_INPUT', /--svg needs a value/],
    [['--json', '--csv'], 'BAD_INPUT', /expected one of --json and --csv/],
    [['--fast', '--bits', '99'], 'BAD_INPUT', /unknown flag --fast[\s\S]*1 to 64/],
  ])('%j: %s', async (flags, code, message) => {
    const { host, printed, jobs } = threadHost()
    await expect(benchCompare(flags, host)).rejects.toMatchObject({ code, message: expect.stringMatching(message) })
    expect([printed, jobs()]).toEqual([[], 0])
  })

  test('--help says which back ends there are', async () => {
    const lines = commandHelp(description(BACKENDS), { isTTY: false, columns: 0, write: () => true })
    expect(lines).toContain(BACKENDS.map(({ name }) => name).join(', '))
  })
})

describe('npm run bench -- compare --quick', () => {
  const root = fileURLToPath(new URL('../..', import.meta.url))
  const out = join(root, 'node_modules/.cache/bench-compare-test')

  beforeAll(async () => {
    await build({
      config: false,
      entry: { bench: join(root, 'bench/main.ts') },
      outDir: out,
      format: ['esm'],
      target: 'es2022',
      external: [/^node:/, '@tensorflow/tfjs-core', '@tensorflow/tfjs-backend-wasm'],
      silent: true,
    })
  })

  test('three processes: bytes and flights exactly as declared', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'compare-'))
    const flags = ['compare', '--quick', '--json', '--svg', join(folder, 'charts.svg')]
    const { stdout } = await promisify(execFile)(process.execPath, [join(out, 'bench.js'), ...flags], {
      timeout: 250_000,
    })
    const { compare: rows } = JSON.parse(stdout) as { compare: CompareRow[] }
    const planned = BACKENDS.flatMap((backend) => [4, 8, 16].flatMap((bits) => variantsOf(bits, backend)))
    expect(rows.map(({ backend, bits }) => [backend, bits])).toEqual(
      planned.map(({ backend, bits }) => [backend, bits]),
    )
    for (const [i, row] of rows.entries()) {
      const backend = BACKENDS.find(({ name }) => name === row.backend)!
      expect(row).toMatchObject({ ...planned[i], ...backend.cost(planned[i], 4096) })
      expect(row.wrongSign.layer).toMatchObject({ name: 'layer1.1.relu_1' })
      if (row.bits === row.opened) expect(row.wrongSign).toMatchObject({ measured: 0, predicted: 0 })
    }
    expect(await readFile(join(folder, 'charts.svg'), 'utf8')).toContain('</svg>')
  })
})
