// A fleet of real processes whose dealers are killed every second, and whose broker once, while clients keep asking.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { toHex } from '../../src/cli/terminal/arguments.js'
import { RingfenceError } from '../../src/errors.js'
import { decodeImage, pictureToInput, ReconnectingClient } from '../../src/index.js'
import { freshSeed } from '../../src/random/seed.js'
import { Broker } from '../../test/engine/broker.js'
import { REPOSITORY } from '../../test/fixtures/vectors.js'
import { freePort, Party } from './service.js'

export interface Kills {
  /** Inferences that were asked for, and answered. */
  readonly jobs: number
  readonly done: number
  /** Answers that are not what the picture shows. */
  readonly mismatched: number
  /** Refused because material was used before. */
  readonly usedTwice: number
  /** Dealers. */
  readonly killed: number
  /** Preparing an inference, of which 95 % took less. */
  readonly p95Ms: number
}

const CLIENTS = 2
const EVERY_MS = 1000
/** Dealers that are starting while others deal. */
const AHEAD = 2

export async function kills(seconds: number): Promise<Kills> {
  const folder = mkdtempSync(join(tmpdir(), 'rf-kills-'))
  const key = join(folder, 'fleet.key')
  writeFileSync(key, toHex(freshSeed()), { mode: 0o600 })
  const broker = await Broker.start()
  const [helperPort, fleetPort, serverPort] = [await freePort(), await freePort(), await freePort()]
  const member = ['helper', '--queue', broker.url, '--fleet-key', key]
  const listens = ['--listen', `${helperPort}`, '--fleet-listen', `${fleetPort}`]
  const front = new Party('helper', [...member, '--role', 'front', ...listens])
  const dealing = [...member, '--role', 'dealer']
  const dealers = [1, 2].map(() => new Party('helper', dealing))
  const [helper, address] = [`ws://127.0.0.1:${helperPort}`, `ws://127.0.0.1:${serverPort}`]
  const server = new Party('server', [
    'serve',
    '--model',
    'mnist-cnn3',
    '--helper',
    helper,
    '--listen',
    `${serverPort}`,
  ])
  const all = [front, ...dealers, server]
  try {
    for (const party of all) await party.start()
    const until = performance.now() + 1000 * seconds
    const over = () => performance.now() >= until
    const asking = Promise.all(Array.from({ length: CLIENTS }, () => ask({ server: address, helper }, over)))
    let killed = 0
    const up = [...dealers]
    const coming = new Set<Promise<void>>()
    const bring = () => {
      const dealer = new Party('helper', dealing)
      all.push(dealer)
      const come = backAgain(dealer).then(() => void up.push(dealer))
      coming.add(come)
      void come.finally(() => coming.delete(come))
    }
    const killing = (async () => {
      // A process takes a while to start: the next ones are on their way when one dies.
      for (let ahead = 0; ahead < AHEAD; ahead++) bring()
      while (!over()) {
        const next = new Promise((resolve) => setTimeout(resolve, EVERY_MS))
        if (up.length > 1) {
          await up.shift()!.kill()
          killed++
          bring()
        }
        await next
      }
      await Promise.all(coming)
    })()
    await new Promise((resolve) => setTimeout(resolve, 500 * seconds))
    await broker.kill()
    await broker.up()
    const found = (await asking).flat()
    await killing
    const answered = found.filter(({ right }) => right !== undefined)
    const times = found.flatMap(({ ms }) => ms ?? []).sort((a, b) => a - b)
    return {
      jobs: found.length,
      done: answered.length,
      mismatched: found.filter(({ right }) => right === false).length,
      usedTwice: found.filter(({ code }) => code === 'MATERIAL_USED').length,
      killed,
      p95Ms: times[Math.floor(0.95 * times.length)] ?? Number.NaN,
    }
  } finally {
    for (const party of all) await party.kill()
    await broker.end()
    rmSync(folder, { recursive: true, force: true })
  }
}

/** Who starts while the broker is away ends at once: as a supervisor would, this tries again. */
async function backAgain(party: Party): Promise<void> {
  for (let tries = 0; tries < 20; tries++) {
    try {
      return await party.start()
    } catch {
      await new Promise((resolve) => setTimeout(resolve, 250))
    }
  }
  throw new RingfenceError('HOST', 'a dealer does not start any more')
}

interface Asked {
  /** To prepare it; undefined where that failed. */
  readonly ms?: number
  /** Undefined without an answer. */
  readonly right?: boolean
  readonly code?: string
}

async function ask(parties: { server: string; helper: string }, over: () => boolean): Promise<Asked[]> {
  const client = await ReconnectingClient.create({ ...parties, worker: false })
  const picture = decodeImage(await readFile(fileURLToPath(new URL('models/samples/digit-7.png', REPOSITORY))))
  const input = pictureToInput(picture, client.plan.input)
  const found: Asked[] = []
  while (!over()) {
    const began = performance.now()
    let ms: number | undefined
    try {
      await client.prepare(1)
      ms = performance.now() - began
      const { prediction } = await client.run(input)
      found.push({ ms, right: prediction === 7 })
    } catch (error) {
      if (!(error instanceof RingfenceError)) throw error
      found.push({ ms, code: error.code })
    }
  }
  await client.release()
  return found
}
