// What the commands print fits a terminal of 80 columns, and ends with the command to type next.
import { cpSync, mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { calibrate } from '../../src/cli/commands/calibrate.js'
import { convert } from '../../src/cli/commands/convert.js'
import { cost } from '../../src/cli/commands/cost.js'
import { distortion } from '../../src/cli/commands/distortion.js'
import { doctor } from '../../src/cli/commands/doctor.js'
import { evaluate } from '../../src/cli/commands/evaluate.js'
import { inspect } from '../../src/cli/commands/inspect.js'
import { plan } from '../../src/cli/commands/plan.js'
import { finetune } from '../../src/cli/commands/training/finetune.js'
import { type Command, Flags } from '../../src/cli/terminal/arguments.js'
import { commandHelp } from '../../src/cli/terminal/help-text.js'
import { shortened, shortenedAlike, tableLines } from '../../src/cli/terminal/terminal.js'
import { writeDigits } from '../train/digits.js'
import { onTerminal as terminal } from './in-process.js'

const SAMPLES = 'models/samples'
let dir: string
const at = (name: string) => join(dir, name)

beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), 'ringfence-tables-'))
  // Folders that are named after no class of the network.
  for (const digit of [3, 7]) {
    mkdirSync(at(`pictures/some-${digit}`), { recursive: true })
    cpSync(`${SAMPLES}/digit-${digit}.png`, at(`pictures/some-${digit}/picture.png`))
  }
})
afterAll(() => rmSync(dir, { recursive: true, force: true }))

const onTerminal = async (command: Command, ...args: string[]): Promise<string[]> =>
  (await terminal(80, command, ...args)).split('\n')

function expectFits(lines: readonly string[], next: RegExp): void {
  // Paths of files are not broken.
  const wide = lines.filter((line) => [...line].length > 80 && !line.includes(dir))
  expect(wide).toEqual([])
  // A command that goes on in further lines is one.
  expect(lines.join('\n').replaceAll(' \\\n ', '').split('\n').at(-2)).toMatch(next)
}

describe('on a terminal of 80 columns', () => {
  it.each([['mcc'], ['securenn']])('cost and inspect, %s', async (backend) => {
    const flags = ['resnet20-cifar10', '--variant', '06', '--backend', backend]
    expectFits(await onTerminal(cost, ...flags), /next npx ringfence demo --model resnet20-cifar10/)
    expectFits(await onTerminal(inspect, ...flags), /next npx ringfence cost resnet20-cifar10/)
  })

  it('doctor, convert and the help of every command', async () => {
    expectFits(await onTerminal(doctor), /next npx ringfence demo/)
    const converted = await onTerminal(convert, 'models/resnet20-cifar10/arch.json', '-o', at('expanded.json'))
    expectFits(converted, /next npx ringfence inspect/)
    const files = readdirSync('src/cli/commands', { recursive: true, encoding: 'utf8' })
    const loaded = await Promise.all(
      files.flatMap((file) => {
        const name = basename(file, '.ts')
        return file.endsWith('.ts') ? [import(`../../src/cli/commands/${file}`).then((module) => [name, module])] : []
      }),
    )
    expect(loaded.map(([name]) => name)).toEqual(expect.arrayContaining(['serve', 'search']))
    for (const [name, { [name]: command }] of loaded) {
      for (const note of command.notes ?? []) expect(note, name).toMatch(/(\.|--help)$/)
      const out = { isTTY: false, columns: 0, write: () => true }
      expect(
        commandHelp(command, out)
          .split('\n')
          .filter((line) => [...line].length > 80),
      ).toEqual([])
    }
  })

  it('calibrate, on a folder of folders that are no classes, and evaluate', { timeout: 120_000 }, async () => {
    const pictures = ['--images', at('pictures'), '--threads', '1']
    const lines = await onTerminal(calibrate, 'mnist-cnn3', ...pictures, '-o', at('calibration.json'), '--per-channel')
    expectFits(lines, /next npx ringfence evaluate mnist-cnn3 --images/)
    const evaluated = ['--unlabelled', '--windows', 'calibrated,exact,8', '--sample', '1', '-o', at('e.json')]
    expectFits(await onTerminal(evaluate, 'mnist-cnn3', ...pictures, ...evaluated), /next npx ringfence demo --model/)
    const limited = [...pictures, '--unlabelled', '--limit', '1', '--csv']
    const [heads, row, end] = await onTerminal(evaluate, 'mnist-cnn3', ...limited)
    expect(heads).toMatch(/^variant,windows,drelus,flights,onlineBytes,onlineSeconds,network,floatImages,floatCorrect,/)
    expect(row).toMatch(
      /^plain,calibrated,2864,\d+,\d+,0\.\d+,wan60,1,,1,,\d,\d+,20\d\d-[^,]+,"[^"]+ cores?, \d+ GiB",\d+\.\d+\.\d+,"Node [^"]+"$/,
    )
    expect(end).toBe('')
  })

  it('distortion and plan', { timeout: 120_000 }, async () => {
    const few = ['--images', at('pictures'), '--threads', '1', '--limit', '1', '--blocks', '1x1,2x2']
    const table = at('distortion.json')
    expectFits(await onTerminal(distortion, 'mnist-cnn3', ...few, '-o', table), /next npx ringfence plan mnist-cnn3/)
    const planned = ['--ratio', '0.5', '--distortion', table, '-o', at('spec.json')]
    expectFits(await onTerminal(plan, 'mnist-cnn3', ...planned), /next npx ringfence cost mnist-cnn3 --relu-spec/)
  })
})

describe('a table of epochs', () => {
  it('fits, and its report ends with the command that serves what was trained', { timeout: 120_000 }, async () => {
    const images = writeDigits(dir, 'few', 2)
    const lines = await onTerminal(
      finetune,
      'mnist-cnn3',
      '--images',
      images,
      '--epochs',
      '1',
      '--threads',
      '1',
      '-o',
      at('tuned'),
    )
    expectFits(lines, /next npx ringfence serve --model/)
  })
})

describe('tables', () => {
  const plain = (_: unknown, text: string) => text

  it('leave out what is optional, then shorten the widest, each as far as it takes', () => {
    const columns = [
      { head: 'name', shrinks: 'middle' },
      { head: 'words', shrinks: 'end' },
      { head: 'more', optional: true },
      { head: 'n', align: 'right' },
    ] as const
    const rows = [['features.12.block.relu', 'conv 3×3, block ReLU', 'seldom', '7']]
    expect(tableLines(columns, rows, plain)[1]).toBe('  features.12.block.relu  conv 3×3, block ReLU  seldom  7')
    expect(tableLines(columns, rows, plain, 50)[1]).toBe('  features.12.block.relu  conv 3×3, block ReLU  7')
    expect(tableLines(columns, rows, plain, 40)[1]).toBe('  features.12…relu  conv 3×3, block…   7')
  })

  it('keep both ends of a name', () => {
    expect(shortened('layer1.1.relu_1', 20)).toBe('layer1.1.relu_1')
    expect(shortened('features.12.block.relu', 11)).toBe('featu….relu')
  })

  it('cut no word where whole ones say enough', () => {
    expect(shortened('input, headers', 12)).toBe('input…')
    expect(shortened('values of bn1, conversion', 20)).toBe('values of…conversion')
    expect(shortened('backbone.layer2.3.downsample.relu', 24)).toBe('backbone…downsample.relu')
    const names = ['values of bn1, conversion', 'values of bn2, conversion']
    expect(shortenedAlike(names, 16)).toEqual(['values of bn1…', 'values of bn2…'])
    const branches = ['block3.branch12.conv', 'block3.branch13.conv', 'block3.branch12.relu']
    const short = shortenedAlike(branches, 14)
    expect(new Set(short).size).toBe(3)
    expect(short.every((name) => name.length <= 14)).toBe(true)
  })

  it('cut the names of a column where they stay apart', () => {
    const names = [1, 2].flatMap((layer) =>
      [0, 1].flatMap((block) => [1, 2].map((i) => `layer${layer}.${block}.relu_${i}`)),
    )
    expect(shortenedAlike(['relu', ...names], 10)).toEqual([
      'relu',
      ...names.map((name) => `${name.slice(0, 8)}…${name.slice(-1)}`),
    ])
    const columns = [{ head: 'layer', shrinks: 'middle' }, { head: 'n' }] as const
    const rows = names.map((name, i) => [name, `${i}`])
    expect(tableLines(columns, rows, plain, 15).slice(1, 3)).toEqual(['  layer1.0…1  0', '  layer1.0…2  1'])
  })
})

describe('flags', () => {
  const flags = (...args: string[]) => new Flags(calibrate, args)
  const problems = (read: () => void): readonly string[] => {
    try {
      read()
    } catch (error) {
      return (error as { problems: readonly string[] }).problems
    }
    return []
  }

  it('a wrong number is one problem, below zero too', () => {
    for (const args of [['--limit', '-1'], ['--limit=-1']]) {
      const given = flags('model', ...args)
      given.integer('limit', 1, 9)
      expect(problems(() => given.check())).toEqual(['--limit: expected a whole number from 1 to 9, got -1'])
    }
  })

  it('without a value, with one too many, unknown: one problem each', () => {
    const given = flags('model', '--limit', '--force', '--exact=yes', '--none', '3', '-x')
    given.integer('limit', 1, 9)
    expect(problems(() => given.check())).toEqual([
      '--limit needs a value',
      '--exact takes no value, got yes',
      'unknown flag --none',
      'unknown flag -x',
    ])
  })

  it('values as -oFILE, -o FILE and --output=FILE, operands behind --', () => {
    for (const args of [['-oF'], ['-o', 'F'], ['--output=F']]) expect(flags('m', ...args).text('output')).toBe('F')
    expect(flags('--', '-1', '--limit').operands).toEqual(['-1', '--limit'])
  })
})
