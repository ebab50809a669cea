// What can happen to any message on any link of a conversation, and the errors a caller may learn of it. The conversation
// and what has to hold after it are the back end's own.
import { describe, expect, test } from 'vitest'
import type { Fault, Wire } from './fixture.js'

export interface Conversation<L extends string> {
  readonly links: readonly L[]
  /** The link with few messages; more than four all the same, and more than ten on the others. */
  readonly quiet: L
  /** Messages on every link when nothing happens. */
  lengths(): Promise<Record<L, number>>
  /** Runs the conversation under a fault and everything that must still hold afterwards; returns the caller's error code. */
  endure(fault: Fault, link: L, controller?: AbortController): Promise<string>
  /** Names of `DAMAGES`. */
  readonly damages: readonly string[]
  /** So many cases at once; twice as many where peers fall silent. */
  readonly width: number
}

const GONE = /^(PEER_GONE|PEER_FAILED|DEADLINE)$/
const DAMAGED = /^(FRAME|PROTOCOL|PEER_GONE|PEER_FAILED|DEADLINE)$/
const RANDOM = /^(none|FRAME|PROTOCOL|PLAN_MISMATCH|INSECURE|MATERIAL_USED|PEER_GONE|PEER_FAILED|DEADLINE)$/

export const DAMAGES: Readonly<Record<string, (message: Uint8Array) => Uint8Array>> = {
  'one byte short': (message) => message.slice(0, -1),
  'less than a header': (message) => message.slice(0, 5),
  empty: () => new Uint8Array(0),
  'one byte long': (message) => new Uint8Array([...message, 0]),
  'longer than it says, both in step': (message) => {
    const long = new Uint8Array([...message, 1, 2, 3, 4])
    new DataView(long.buffer).setUint32(0, long.byteLength - 8, true)
    return long
  },
  'another kind': (message) => message.map((byte, i) => (i === 4 ? byte ^ 64 : byte)),
  'another phase': (message) => message.map((byte, i) => (i === 5 ? (byte + 1) % 3 : byte)),
  'another step': (message) => message.map((byte, i) => (i === 6 ? byte + 1 : byte)),
  'a phase that is none': (message) => message.map((byte, i) => (i === 5 ? 77 : byte)),
  'random bytes': (message) => crypto.getRandomValues(new Uint8Array(message.byteLength)),
}

/** A wire for every link; what happens happens `at` one of them. */
export const wiresOf = <L extends string>(links: readonly L[], wire: (fault?: Fault) => Wire, fault?: Fault, at?: L) =>
  Object.fromEntries(links.map((name) => [name, wire(name === at ? fault : undefined)])) as Record<L, Wire>

/** Every case, a few at a time: most of their time is waiting. */
async function sweep(cases: (() => Promise<void>)[], width: number): Promise<void> {
  const queue = cases.slice()
  const worker = async () => {
    for (let next = queue.shift(); next; next = queue.shift()) await next()
  }
  await Promise.all(Array.from({ length: width }, worker))
}

/** Declares the tests: whatever happens on whichever link, `endure` holds and the caller's error is of the right kind. */
export function disturb<L extends string>({ links, quiet, lengths, endure, damages, width }: Conversation<L>): void {
  let undisturbed: Promise<Record<L, number>> | undefined
  describe.each([...links])('%s', (name) => {
    const link = name as L
    /** One case per message of the undisturbed conversation. */
    const everywhere = async (check: (at: number) => Promise<void>, atOnce = width) => {
      undisturbed ??= lengths()
      const count = (await undisturbed)[link]
      expect(count).toBeGreaterThan(link === quiet ? 4 : 10)
      const cases = Array.from({ length: count }, (_, at) => async () => {
        await check(at).catch((cause) => {
          throw new Error(`message ${at} of ${count}: ${cause.message}`, { cause })
        })
      })
      await sweep(cases, atOnce)
    }
    /** What the helper is sent last is nobody's but its own: only there a fault can pass unseen. */
    const expectCode = (code: string, codes: RegExp) => {
      if (code === 'none') expect(link).not.toBe('client-server')
      else expect(code).toMatch(codes)
    }

    test('a connection that is lost before any message', async () => {
      await everywhere(async (at) => {
        expectCode(await endure((message, index) => (index === at ? 'cut' : message), link), GONE)
      })
    })

    test.each(['a', 'b'] as const)('a peer at end %s that falls silent after any message', async (end) => {
      await everywhere(async (at) => {
        let silent = false
        const fault: Fault = (message, index, from) => {
          silent ||= index >= at
          return silent && from === end ? [] : message
        }
        const code = await endure(fault, link)
        if (code !== 'none') expect(code).toMatch(GONE)
      }, 2 * width)
    })

    test.each([...damages])('a message that is damaged: %s', async (damage) => {
      await everywhere(async (at) => {
        expectCode(await endure((message, index) => (index === at ? DAMAGES[damage](message) : message), link), DAMAGED)
      })
    })

    test('a right frame with random bytes inside', async () => {
      await everywhere(async (at) => {
        const fault: Fault = (message, index) => {
          if (index === at) crypto.getRandomValues(message.subarray(8))
          return message
        }
        expect(await endure(fault, link)).toMatch(RANDOM)
      })
    })

    test('a caller who aborts at any message', async () => {
      await everywhere(async (at) => {
        const controller = new AbortController()
        const fault: Fault = (message, index) => {
          if (index === at) controller.abort()
          return message
        }
        expect(await endure(fault, link, controller)).toMatch(/^(ABORTED|none)$/)
      })
    })
  })
}
