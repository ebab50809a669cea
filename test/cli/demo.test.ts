import { describe, expect, it } from 'vitest'
import { findModel, prepareModel } from '../../src/files/prepared-model.js'
import { HEADER_BYTES } from '../../src/net/index.js'
import type { MccPlan, SecurennPlan } from '../../src/plan/plan.js'
import { RESERVED_BYTES } from '../../src/protocol/control.js'
import { planLayout } from '../../src/protocol/layout.js'
import { planCost } from '../../src/protocol/mcc/cost.js'
import { securennCost } from '../../src/protocol/securenn/cost.js'
import { ringfence, root } from './program.js'

const HELPER_LINKS = ['clientToHelper', 'helperToClient', 'serverToHelper', 'helperToServer']
const ONLINE = ['ms', 'flights', 'bytesUp', 'bytesDown', ...HELPER_LINKS].sort()

const sorted = (object: object): string[] => Object.keys(object).sort()

describe('ringfence demo', () => {
  it('ends with one line of JSON, agrees, and exits with 0', async () => {
    const { status, stdout } = await ringfence('demo', '--model', 'mnist-cnn3', '--json')
    const report = JSON.parse(stdout.trimEnd().split('\n').at(-1)!)
    expect(sorted(report)).toEqual(
      ['model', 'backend', 'images', 'agree', 'maxLogitError', 'online', 'offline', 'plaintextMs'].sort(),
    )
    expect(sorted(report.online)).toEqual(ONLINE)
    expect(sorted(report.offline)).toEqual(['ms', 'clientDown', 'clientUp', 'helperToServer'].sort())
    expect(report).toMatchObject({ model: 'mnist-cnn3', backend: 'mcc', agree: true, online: { flights: 8 } })
    expect(report.images).toHaveLength(10)
    for (const [digit, image] of report.images.entries()) {
      expect(sorted(image)).toEqual(['file', 'label', 'prediction', 'plaintextPrediction'].sort())
      expect(image).toMatchObject({ label: `${digit}`, prediction: `${digit}`, plaintextPrediction: `${digit}` })
    }
    expect(report.maxLogitError).toBeGreaterThan(0)
    expect(report.maxLogitError).toBeLessThan(0.1)
    const { online, offline } = report
    expect(HELPER_LINKS.map((link) => online[link])).toEqual([0, 0, 0, 0])
    // One inference at a time: the server's word on the reservation, with the grant, and the helper's that it has dealt.
    expect(offline.clientDown).toBe(HEADER_BYTES + RESERVED_BYTES + HEADER_BYTES)
    expect(offline.helperToServer).toBeGreaterThan(100_000)
    for (const ms of [report.online.ms, report.offline.ms, report.plaintextMs]) expect(ms).toBeGreaterThan(0)
    expect(status).toBe(0)
  })

  it('prints a report of at most 80 columns that says who judged', async () => {
    const { status, stdout } = await ringfence('demo')
    const lines = stdout.split('\n')
    for (const line of lines) expect([...line].length, line).toBeLessThanOrEqual(80)
    expect(stdout).toContain('The judge is the process that started the three.')
    expect(stdout).toMatch(/all layers +47,104 +40 /)
    expect(stdout).toMatch(/^✓ EQUAL: all 30 logits bit for bit, no overflow/m)
    expect(lines.at(-2)).toMatch(/next npx ringfence helper/)
    expect(stdout).not.toContain('\x1b')
    expect(status).toBe(0)
  })

  it('has a delegate play the client for an owner of one request a picture', async () => {
    const pictures = [`${root}models/samples/digit-3.png`, `${root}models/samples/digit-8.png`]
    const args = ['--delegate', '--model', 'mnist-cnn3', '--images', ...pictures, '--json']
    const { status, stdout } = await ringfence('demo', ...args)
    const report = JSON.parse(stdout.trimEnd().split('\n').at(-1)!)
    expect(report).toMatchObject({ agree: true, delegate: true, online: { flights: 9 } })
    expect(report.images.map(({ prediction }: { prediction: string }) => prediction)).toEqual(['3', '8'])
    // Heads, 784 values of 16 bits, a sealed seed; ten words of 32 bits.
    expect(report.owner).toMatchObject({ roundTrips: 1, bytesUp: 49 + 1568 + 161, bytesDown: 40 })
    expect(report.owner.ms).toBeGreaterThan(0)
    // What the helper deals for one inference: the one that the delegate has ready at the end is not shared out among the others.
    const { compiled } = await prepareModel(findModel('mnist-cnn3'), undefined, { delegated: true })
    expect(report.offline.helperToServer).toBe(
      planCost(planLayout(compiled.plan as MccPlan)).total.offline.helperToServer,
    )
    expect(status).toBe(0)
  })

  it('has a guarded plan catch a delegate that deviates', async () => {
    const args = ['--delegate', '--guard', '--model', 'mnist-cnn3', '--images', `${root}models/samples/digit-3.png`]
    const { status, stdout, stderr } = await ringfence('demo', ...args)
    expect(stderr).not.toContain('protocol')
    expect(stdout).toMatch(/^✓ EQUAL: all 10 logits/m)
    expect(stdout.replaceAll(/\s+/g, ' ')).toContain(
      '✓ CAUGHT: of a delegate that changed one bit of one reply, its owner got no output: CHEATED',
    )
    expect(status).toBe(0)
  })

  it('emulates a network, takes a variant and pictures of the user’s', async () => {
    const picture = `${root}models/samples/horse-silhouette.png`
    const args = ['--variant', '12', '--network', 'wan40', '--images', picture, picture]
    const { status, stdout } = await ringfence('demo', '--json', ...args)
    const report = JSON.parse(stdout)
    expect(report.images.map(({ label }: { label: unknown }) => label)).toEqual([null, null])
    expect(report.images[1].prediction).toBe('horse')
    expect(report.online.ms).toBeGreaterThan(report.online.flights * 20)
    expect(status).toBe(0)
  })
})

describe('ringfence demo --backend securenn', () => {
  it('agrees bit for bit, and its JSON has the same form, everything on line', async () => {
    const { status, stdout } = await ringfence('demo', '--backend', 'securenn', '--model', 'mnist-cnn3', '--json')
    const report = JSON.parse(stdout)
    expect(report).toMatchObject({ model: 'mnist-cnn3', backend: 'securenn', agree: true })
    expect(report.images).toHaveLength(10)
    for (const [digit, image] of report.images.entries()) {
      expect(image).toMatchObject({ label: `${digit}`, prediction: `${digit}`, plaintextPrediction: `${digit}` })
    }
    const { online, offline } = report
    expect(sorted(online)).toEqual(ONLINE)
    expect(offline).toEqual({ ms: 0, clientDown: 0, clientUp: 0, helperToServer: 0 })
    const { total, flights } = declared(await compiled('mnist-cnn3'))
    expect(online).toMatchObject({ flights, bytesUp: total.up, bytesDown: total.down, helperToClient: 0 })
    expect(online.clientToHelper).toBe(total.clientHelper)
    expect([online.serverToHelper, online.helperToServer]).toEqual([total.serverHelper, total.helperServer])
    expect(status).toBe(0)
  })

  it('prints a report of at most 80 columns with all links and nothing off line', async () => {
    const { status, stdout } = await ringfence('demo', '--backend', 'securenn', `${root}models/samples/cat-chelsea.png`)
    for (const line of stdout.split('\n')) expect([...line].length, line).toBeLessThanOrEqual(80)
    expect(stdout).toContain('resnet20-cifar10, variant 25, back end securenn')
    expect(stdout).toMatch(/all layers +47,104 +174 /)
    expect(stdout).toMatch(/all links +\d+\.\d\d MB/)
    expect(stdout).not.toContain('off line,')
    expect(stdout).toContain('nothing off line')
    expect(stdout.replace(/\s+/g, ' ')).toContain(
      '✓ EQUAL: all 10 logits bit for bit, no overflow; class as in plaintext 1/1',
    )
    expect(status).toBe(0)
  })

  it('takes its numbers, and puts a network on both links of the client', async () => {
    const numbers = ['--fraction', '10', '--ignored-msb', '40', '--ignored-lsb', '2']
    const picture = `${root}models/samples/digit-3.png`
    const order = ['--backend', 'securenn', '--model', 'mnist-cnn3', ...numbers, '--network', 'wan40', picture]
    const [text, json] = await Promise.all([ringfence('demo', ...order), ringfence('demo', ...order, '--json')])
    expect(text.stdout).toContain('over wan40 (40 ms round trip): client ↔ server, client ↔ helper')
    const { images, agree, online } = JSON.parse(json.stdout)
    expect({ agree, prediction: images[0].prediction }).toEqual({ agree: true, prediction: '3' })
    // Flights 3, 5, 6, 8, 9 and 10 of every ReLU leave or reach the client; the first two wait for the server only.
    expect(online.ms).toBeGreaterThan(3 * 4 * 20)
    // 24 compared bits instead of 64: 2 * 24 + 8 bytes a value instead of 2 * 64 + 8.
    expect(online.clientToHelper).toBeLessThan(0.45 * declared(await compiled('mnist-cnn3')).total.clientHelper)
    expect(text.status).toBe(0)
  })
})

async function compiled(model: string): Promise<SecurennPlan> {
  const { plan } = (await prepareModel(findModel(model), undefined, { backend: 'securenn' })).compiled
  return plan as SecurennPlan
}

const declared = (plan: SecurennPlan) => securennCost(planLayout(plan))
