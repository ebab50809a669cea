// `--backend securenn` in three processes: what the server chooses, helper and client learn from the plan.
import { readFile } from 'node:fs/promises'
import { pathToFileURL } from 'node:url'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Running, ringfence, root, startRingfence } from './program.js'

const digit = (n: number) => `${root}models/samples/digit-${n}.png`
const CAT = `${root}models/samples/cat-chelsea.png`

let helper: Running
let helperUrl: string
let server: Running
let urls: string[]

async function serve(...args: string[]): Promise<[Running, string]> {
  const running = startRingfence('serve', ...args, '--listen', '0', '--json')
  return [running, JSON.parse(await running.says(/.*"ready".*/)).url]
}

beforeAll(async () => {
  helper = startRingfence('helper', '--listen', ':0')
  helperUrl = await helper.says(/ws:\/\/\S+/)
  const [running, url] = await serve('--model', 'mnist-cnn3', '--helper', helperUrl, '--backend', 'securenn')
  server = running
  urls = ['--server', url, '--helper', helperUrl]
})
afterAll(() => Promise.all([server.stop(), helper.stop()]))

describe('ringfence helper, serve and infer on securenn', () => {
  it('classify pictures for several clients at once', async () => {
    const runs = await Promise.all([3, 7].map((n) => ringfence('infer', ...urls, digit(n), digit(n), '--json')))
    for (const [i, { status, stdout, stderr }] of runs.entries()) {
      expect(status, stderr).toBe(0)
      const report = JSON.parse(stdout)
      expect(report).toMatchObject({ network: 'mnist-cnn3', backend: 'securenn' })
      expect(report.images.map(({ label }: { label: string }) => label)).toEqual([`${[3, 7][i]}`, `${[3, 7][i]}`])
      expect(report.online).toMatchObject({ flights: 30, helperToClient: 0 })
      // 2,864 comparisons of 64 bits: a word and two rows of digits each, and a few frame headers.
      expect(Math.abs(report.online.clientToHelper - 2864 * 136)).toBeLessThan(200)
      expect(report.offline).toEqual({ ms: 0, clientUp: 0, clientDown: 0 })
    }
    const { backend } = JSON.parse(await server.says(/.*"ready".*/))
    expect(backend).toBe('securenn')
  })

  it('say what went to the helper, and nothing of an off-line phase', async () => {
    const { stdout, status } = await ringfence('infer', ...urls, '--network', 'lan', digit(5))
    expect(stdout).toContain('mnist-cnn3, back end securenn')
    expect(stdout).toMatch(/digit-5\.png +5 /)
    expect(stdout).toMatch(/30 flights; 389\.\d kB\s+to the helper/)
    expect(stdout).not.toContain('off line')
    expect(status).toBe(0)
  })

  it('classify with a window, chosen by the server alone', async () => {
    const window = ['--ignored-msb', '44', '--ignored-lsb', '4', '--fraction', '11']
    const [narrow, url] = await serve(
      '--model',
      'mnist-cnn3',
      '--helper',
      helperUrl,
      '--backend',
      'securenn',
      ...window,
    )
    const { stdout } = await ringfence('infer', '--server', url, '--helper', helperUrl, '--json', digit(8))
    expect(await narrow.stop()).toBe(0)
    const { images, online } = JSON.parse(stdout)
    expect(images[0].label).toBe('8')
    expect(Math.abs(online.clientToHelper - 2864 * (8 + 2 * 20))).toBeLessThan(200)
  })
})

describe('a helper that dies in the middle of an inference', () => {
  it('leaves the client with a readable error, and the server waiting', async () => {
    const doomed = startRingfence('helper', '--listen', ':0', '--json')
    const helperAt = JSON.parse(await doomed.says(/.*"ready".*/)).url
    const [orphan, url] = await serve('--model', 'resnet20-cifar10', '--helper', helperAt, '--backend', 'securenn')
    const pictures = Array.from({ length: 200 }, () => CAT)
    const client = startRingfence('infer', '--server', url, '--helper', helperAt, ...pictures)
    // The server's connection for this client is the helper's third; it is there once an inference has begun.
    await doomed.says(/"open","connection":3/)
    await new Promise((resolve) => setTimeout(resolve, 300))
    await doomed.stop('SIGKILL')
    expect(await client.ended()).toBe(1)
    expect(client.stderr).toMatch(/error PEER_(GONE|FAILED)\n {2}\S/)
    expect(client.stderr).toMatch(/helper|lost another party/)
    expect(client.stderr).not.toMatch(/ at .*\.js:\d/)
    expect(client.stdout).toBe('')
    // The server stays, waiting for its helper to come back.
    expect(await orphan.stop()).toBe(0)
  })
})

describe('the documents', () => {
  it('name no file that is not there', async () => {
    for (const file of ['README.md', 'docs/protocol.md', 'SECURITY.md']) {
      const text = await readFile(`${root}${file}`, 'utf8')
      const links = [...text.matchAll(/\]\((?!https?:|#)([^)#]+)/g)].map(([, path]) => path)
      for (const path of links) await readFile(new URL(path, pathToFileURL(`${root}${file}`))).catch(isFolder(path))
    }
  })
})

const isFolder = (path: string) => (error: NodeJS.ErrnoException) => {
  expect(error.code, `${path} is not there`).toBe('EISDIR')
}
