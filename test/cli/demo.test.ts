import { describe, expect, it } from 'vitest'
import { ringfence, root } from './program.js'

const sorted = (object: object): string[] => Object.keys(object).sort()

describe('ringfence demo', () => {
  it('ends with one line of JSON, agrees, and exits with 0', async () => {
    const { status, stdout } = await ringfence('demo', '--model', 'mnist-cnn3', '--json')
    const report = JSON.parse(stdout.trimEnd().split('\n').at(-1)!)
    expect(sorted(report)).toEqual(
      ['model', 'backend', 'images', 'agree', 'maxLogitError', 'online', 'offline', 'plaintextMs'].sort(),
    )
    expect(sorted(report.online)).toEqual(['ms', 'flights', 'bytesUp', 'bytesDown'].sort())
    expect(sorted(report.offline)).toEqual(['ms', 'clientDown', 'clientUp', 'helperToServer'].sort())
    expect(report).toMatchObject({ model: 'mnist-cnn3', backend: 'mcc', agree: true, online: { flights: 8 } })
    expect(report.images).toHaveLength(10)
    for (const [digit, image] of report.images.entries()) {
      expect(sorted(image)).toEqual(['file', 'label', 'prediction', 'plaintextPrediction'].sort())
      expect(image).toMatchObject({ label: `${digit}`, prediction: `${digit}`, plaintextPrediction: `${digit}` })
    }
    expect(report.maxLogitError).toBeGreaterThan(0)
    expect(report.maxLogitError).toBeLessThan(0.1)
    expect(report.offline.clientDown).toBeLessThanOrEqual(64)
    for (const ms of [report.online.ms, report.offline.ms, report.plaintextMs]) expect(ms).toBeGreaterThan(0)
    expect(status).toBe(0)
  })

  it('prints a report of at most 100 columns that says who judged', async () => {
    const { status, stdout } = await ringfence('demo')
    const lines = stdout.split('\n')
    for (const line of lines) expect([...line].length, line).toBeLessThanOrEqual(100)
    expect(stdout).toContain('The judge is the process that started the three.')
    expect(stdout).toMatch(/all layers +47,104 +40 /)
    expect(lines.at(-2)).toMatch(/^✓ EQUAL: all 30 logits bit for bit, no overflow/)
    expect(stdout).not.toContain('\x1b')
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
