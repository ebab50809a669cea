// The planner's commands as a user runs them: files in, files out, Ctrl-C between.
import { spawn } from 'node:child_process'
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { type Ran, root, ringfence as run } from '../program.js'

const folder = mkdtempSync(join(tmpdir(), 'ringfence-planner-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))
const place = (name: string) => join(folder, name)
const json = (name: string) => JSON.parse(readFileSync(place(name), 'utf8'))

/** Runs a command; messages come on one line, however wide the terminal is. */
async function ringfence(...args: string[]): Promise<Ran> {
  const { stderr, ...ran } = await run(...args)
  return { ...ran, stderr: unwrapped(stderr) }
}

const unwrapped = (text: string) => text.replace(/\s+/g, ' ')

/** Ten digits, flat. */
const digits = place('digits')
mkdirSync(digits)
for (let digit = 0; digit < 10; digit++) {
  copyFileSync(join(root, `models/samples/digit-${digit}.png`), join(digits, `digit-${digit}.png`))
}

describe('ringfence distortion', () => {
  it('writes a table that does not depend on the threads', async () => {
    const args = ['distortion', 'mnist-cnn3', '--images', digits, '--blocks', '1x1,2x2,7x7,identity']
    const one = await ringfence(...args, '--threads', '1', '-o', place('one.json'))
    expect(one).toMatchObject({ status: 0 })
    expect(one.stdout).toContain('10 pictures of digits')
    const two = await ringfence(...args, '--threads', '3', '-o', place('three.json'), '--json')
    expect(JSON.parse(two.stdout)).toMatchObject({ network: 'mnist-cnn3', candidates: 4, resumed: 0, threads: 3 })
    expect(readFileSync(place('three.json'))).toEqual(readFileSync(place('one.json')))
    expect(json('one.json')).toMatchObject({ format: 'distortion/1', network: 'mnist-cnn3', images: 10 })
    expect(readdirSync(folder).filter((name) => name.includes('part'))).toEqual([])
  })

  it('goes on where Ctrl-C stopped it, with the same bytes in the end', async () => {
    const args = ['distortion', 'resnet20-cifar10', '--images', cifar(1), '--threads', '1', '--blocks', '2x2', '-o']
    const broken = await interrupted(300, ...args, place('r.json'))
    expect(broken.status).toBe(1)
    expect(broken.stderr).toContain('the same command, without --force, goes on from there')
    expect(existsSync(place('r.json'))).toBe(false)
    expect(existsSync(place('r.json.part'))).toBe(true)
    const other = await ringfence(...args.slice(0, 4), '--blocks', '4x4', '-o', place('r.json'))
    expect(other.stderr).toContain('left by a measurement of another model')
    const rest = await ringfence(...args, place('r.json'), '--json')
    const { resumed, rows } = JSON.parse(rest.stdout)
    expect(resumed).toBeGreaterThan(0)
    expect(resumed).toBeLessThan(rows)
    expect(existsSync(place('r.json.part'))).toBe(false)
    await ringfence(...args, place('whole.json'))
    expect(readFileSync(place('r.json'))).toEqual(readFileSync(place('whole.json')))
  })

  it('refuses pictures of several sizes, unknown files and taken names, and writes nothing', async () => {
    const mixed = await ringfence('distortion', 'mnist-cnn3', '--images', 'models/samples', '-o', place('x.json'))
    expect(mixed.status).toBe(1)
    expect(mixed.stderr).toContain('3 of 13 pictures do not fit this network')
    expect(mixed.stderr).toContain('cat-chelsea.png: expected a picture 28 wide and 28 high, got 32 wide and 32 high')
    writeFileSync(place('odd.bin'), new Uint8Array(1000))
    const odd = await ringfence('distortion', 'mnist-cnn3', '--images', place('odd.bin'), '-o', place('x.json'))
    expect(odd.stderr).toContain('expected records of a label of one or two bytes and 784 pixels')
    const spec = ['distortion', 'resnet20-cifar10', '--variant', '06', '--images', digits, '-o', place('x.json')]
    expect((await ringfence(...spec)).stderr).toContain('expected weights of plain ReLUs')
    expect(existsSync(place('x.json'))).toBe(false)
    writeFileSync(place('mine.json'), 'mine')
    const taken = await ringfence('distortion', 'mnist-cnn3', '--images', digits, '-o', place('mine.json'))
    expect(taken.stderr).toContain('there already; --force overwrites')
    expect(readFileSync(place('mine.json'), 'utf8')).toBe('mine')
  })
})

describe('ringfence plan', () => {
  it('writes the spec of least distortion: the shipped one costs the same', async () => {
    const plan = await ringfence('plan', 'resnet20-cifar10', '--ratio', '0.06', '-o', place('spec.json'))
    expect(plan.status).toBe(0)
    expect(plan.stdout).toContain('11,304 comparisons, at most 11,304 comparisons allowed')
    expect(plan.stdout).toContain('the least possible')
    const shipped = JSON.parse(readFileSync(join(root, 'models/resnet20-cifar10/relu-spec-06.json'), 'utf8'))
    expect(json('spec.json').expect).toEqual({ drelus: shipped.expect.drelus })
    const again = await ringfence('plan', 'resnet20-cifar10', '--max-cost', '11304', '-o', place('same.json'), '--json')
    expect(JSON.parse(again.stdout)).toMatchObject({
      cost: 11_304,
      plainCost: 188_416,
      predicted: { profile: 'wan60' },
    })
    expect(readFileSync(place('same.json'))).toEqual(readFileSync(place('spec.json')))
  })

  it('counts bytes as they are predicted for the finished spec', async () => {
    const args = ['plan', 'mnist-cnn3', '--objective', 'bytes', '--ratio', '0.9', '--distortion', place('one.json')]
    const { stdout } = await ringfence(...args, '-o', place('bytes.json'), '--json')
    const { cost, budget, plainCost, predicted } = JSON.parse(stdout)
    expect(cost).toBeLessThanOrEqual(budget)
    expect(Math.abs(predicted.plain.onlineBytes - plainCost)).toBeLessThan(0.001 * plainCost)
    expect(Math.abs(predicted.planned.onlineBytes - cost)).toBeLessThan(0.005 * cost)
  })

  it('says everything that is wrong with a command line', async () => {
    const { stderr, status } = await ringfence('plan', '--ratio', '2', '--max-cost', '-1', '--objective', 'flops')
    expect(status).toBe(1)
    for (const text of ['expected one MODEL', '--ratio: expected a number above 0', 'expected one of drelus, bytes']) {
      expect(stderr).toContain(text)
    }
  })

  it('refuses tables with holes or of another network, and budgets below the cheapest, and writes nothing', async () => {
    const table = json('one.json')
    table.layers[Object.keys(table.layers)[1]][3][2] = null
    writeFileSync(place('holes.json'), JSON.stringify(table))
    const to = place('nothing.json')
    const holes = await ringfence('plan', 'mnist-cnn3', '--ratio', '0.1', '--distortion', place('holes.json'), '-o', to)
    expect(holes.stderr).toContain('channel 3, block [7,7]: expected a number >= 0, got null')
    const other = await ringfence(
      'plan',
      'resnet20-cifar10',
      '--ratio',
      '0.1',
      '--distortion',
      place('one.json'),
      '-o',
      to,
    )
    expect(other.stderr).toContain('expected "resnet20-cifar10-own", the network it is used with, got "mnist-cnn3"')
    delete table.identity // of whole layers, which cost nothing
    for (const layer of Object.keys(table.palettes)) table.palettes[layer] = [[1, 1]]
    for (const layer of Object.keys(table.layers)) table.layers[layer] = table.layers[layer].map(() => [0])
    writeFileSync(place('plain.json'), JSON.stringify(table))
    const low = await ringfence('plan', 'mnist-cnn3', '--max-cost', '99', '--distortion', place('plain.json'), '-o', to)
    expect(low.stderr).toContain('the cheapest possible spec costs 2864 drelus, 2765 more than 99')
    expect(existsSync(to)).toBe(false)
  })
})

describe('ringfence calibrate', () => {
  const args = ['calibrate', 'mnist-cnn3', '--images', digits]

  it('writes ranges and windows that serve and evaluate use, the same on any number of threads', async () => {
    const one = await ringfence(...args, '--window', '8', '--threads', '1', '-o', place('c1.json'), '--json')
    const report = JSON.parse(one.stdout)
    expect(report).toMatchObject({ network: 'mnist-cnn3', images: '10 pictures of digits', bits: 16, ring: 32 })
    expect(report.windowBits).toBeLessThanOrEqual(8)
    expect(report.layers[0].channels.length).toBeGreaterThan(1)
    expect(report.warnings[0]).toContain('10 pictures are few')
    const two = await ringfence(...args, '--window', '8', '--threads', '2', '-o', place('c2.json'))
    expect(two.stdout).toContain('bits on average')
    expect(readFileSync(place('c2.json'))).toEqual(readFileSync(place('c1.json')))
    expect(json('c1.json')).toMatchObject({ format: 'calibration/1', windows: { bits: 16, margin: 1 } })
  })

  it('gives channels or layers factors, which evaluate uses', async () => {
    const factors = async (flag: string, to: string) => {
      const { stdout } = await ringfence(...args, '--window', '7', flag, '-o', place(to), '--json')
      return JSON.parse(stdout) as { wrongSigns: number; layers: { factors: number | number[] }[] }
    }
    const [layer, channel] = [await factors('--per-layer', 'cl.json'), await factors('--per-channel', 'cc.json')]
    expect(layer.layers.every((own) => typeof own.factors === 'number')).toBe(true)
    expect(channel.layers.some((own) => typeof own.factors !== 'number')).toBe(true)
    expect(json('cc.json')).toHaveProperty('channels')
    expect(channel.wrongSigns).toBeLessThan(layer.wrongSigns)
    const folder = place('factored')
    mkdirSync(folder)
    const shipped = 'models/mnist-cnn3'
    for (const name of ['arch.json', 'weights.safetensors']) copyFileSync(join(shipped, name), join(folder, name))
    copyFileSync(place('cc.json'), join(folder, 'calibration.json'))
    const images = ['--images', digits, '--unlabelled', '--windows', 'calibrated,8', '--json']
    const { stdout } = await ringfence('evaluate', folder, ...images)
    const { rows } = JSON.parse(stdout)
    for (const { reference } of rows) expect(reference).toMatchObject({ agreeing: 10, overflows: 0 })
    const both = await ringfence(...args, '--per-layer', '--per-channel', '-o', place('c4.json'))
    expect(both.stderr).toContain('expected one of --per-layer and --per-channel')
  })

  it('warns of margins below a bit, and reads all bits when told to', async () => {
    const { stdout } = await ringfence(...args, '--margin', '0', '--exact', '-o', place('c0.json'), '--json')
    const { warnings, windowBits, wrongSigns } = JSON.parse(stdout)
    expect(warnings.some((warning: string) => /0\.\d\d bits of margin/.test(warning))).toBe(true)
    expect([windowBits, wrongSigns]).toEqual([16, 0])
    const both = await ringfence(...args, '--exact', '--window', '8', '-o', place('c3.json'))
    expect(both.stderr).toContain('expected one of --agree, --window, --noise and --exact')
    expect((await ringfence(...args, '-o', place('c0.json'))).stderr).toContain('--force overwrites')
  })
})

describe('ringfence evaluate', () => {
  it('counts in float, in fixed point and privately, and draws', async () => {
    const files = { svg: place('e.svg'), html: place('e.html'), output: place('e.json') }
    const flags = Object.entries(files).flatMap(([name, path]) => [`--${name}`, path])
    const images = labelledDigits()
    const args = ['evaluate', 'mnist-cnn3', '--images', images, '--windows', 'exact,8', '--sample', '2']
    const { stdout, status } = await ringfence(...args, ...flags, '--json')
    expect(status).toBe(0)
    const report = JSON.parse(stdout)
    expect(report.rows.map((row: { windows: unknown }) => row.windows)).toEqual(['exact', 8])
    for (const row of report.rows) {
      expect(row).toMatchObject({ variant: 'plain', drelus: 2864, float: { images: 10, correct: 9 } })
      expect(row.reference).toMatchObject({ images: 10, agreeing: 10, overflows: 0 })
      expect(row.sample).toMatchObject({ images: 2, agreeing: 2 })
    }
    expect(report.rows[1].onlineBytes).toBeLessThan(report.rows[0].onlineBytes)
    expect(json('e.json')).toEqual(report)
    expect(readFileSync(files.svg, 'utf8')).toMatch(/^<svg [\s\S]*on line[\s\S]*<\/svg>\n$/)
    expect(readFileSync(files.html, 'utf8')).toContain('<th>signs</th>')
    const again = await ringfence('evaluate', 'mnist-cnn3', '--images', images, '--svg', files.svg)
    expect(again.stderr).toContain('there already; --force overwrites')
  })

  it('refuses pictures without classes unless it is told that there are none', async () => {
    const bare = await ringfence('evaluate', 'mnist-cnn3', '--images', digits)
    expect(bare.status).toBe(1)
    expect(bare.stderr).toContain('its pictures have no classes')
    const agreed = await ringfence('evaluate', 'mnist-cnn3', '--images', digits, '--unlabelled', '--json')
    const [row] = JSON.parse(agreed.stdout).rows
    expect(row.float).toMatchObject({ images: 10, correct: null })
    expect(row.reference).toMatchObject({ correct: null, agreeing: 10 })
  })
})

/** The ten digits with their classes, one of them wrong. */
function labelledDigits(): string {
  const to = place('labelled')
  mkdirSync(to)
  for (const name of readdirSync(digits)) copyFileSync(join(digits, name), join(to, name))
  const classes = Array.from({ length: 10 }, (_, digit) => [`digit-${digit}.png`, digit === 4 ? 9 : digit])
  writeFileSync(join(to, 'labels.json'), JSON.stringify(Object.fromEntries(classes)))
  return to
}

it.each(['distortion', 'plan', 'calibrate', 'evaluate'])('ringfence %s --help shows its flags', async (command) => {
  const { stdout, status } = await ringfence(command, '--help')
  expect(status).toBe(0)
  for (const flag of ['--json', '--force', '--output', 'MODEL']) expect(stdout).toContain(flag)
})

/** A file of CIFAR records with pictures of smooth noise. */
function cifar(count: number): string {
  const bytes = new Uint8Array(3073 * count)
  for (let i = 0; i < bytes.length; i++) bytes[i] = i % 3073 === 0 ? 3 : 128 + 100 * Math.sin(i / 7 + (i % 31))
  writeFileSync(place('noise.bin'), bytes)
  return place('noise.bin')
}

/** Runs a command and sends it SIGINT some time after it began to measure. */
function interrupted(ms: number, ...args: string[]): Promise<{ status: number | null; stderr: string }> {
  return new Promise((resolve) => {
    const child = spawn(process.execPath, [join(root, 'dist/cli.js'), ...args], { cwd: root })
    let stderr = ''
    child.stderr.on('data', (text) => {
      stderr += text
      if (String(text).includes('measuring')) setTimeout(() => child.kill('SIGINT'), ms)
    })
    child.once('close', (status) => resolve({ status, stderr: unwrapped(stderr) }))
  })
}
