// The helper on `securenn`: takes part in every inference, between a client and its server's connection for that client.
import { moreTime, RingfenceError } from '../../errors.js'
import { scoped } from '../../kernels/scope.js'
import { type Link, Phase } from '../../net/index.js'
import type { SecurennPlan } from '../../plan/plan.js'
import { Kind } from '../../protocol/kinds.js'
import { runHelper } from '../../protocol/securenn/inference.js'
import { keptAlive, LONGEST_WAIT_MS } from '../admission.js'
import type { HelpedClient } from '../backend.js'
import { INFERENCE_BYTES, readInference } from '../messages.js'
import { asRingfenceError, timed } from '../options.js'

/** Serves a client's inferences until it leaves. */
export async function helpClient(client: HelpedClient<SecurennPlan>): Promise<void> {
  const { link, held, idleMs, unusedMs, registration, onInference } = client
  let waitMs = unusedMs
  let server: Link | undefined
  const next = async (inference: number) => {
    server ??= await serverLink(client)
    await help(client, server, inference)
  }
  try {
    for (;;) {
      const inference = await nextInference(link, waitMs)
      if (inference === null) return
      waitMs = idleMs
      held.ledger.burn(inference)
      const running = timed(next(inference), onInference)
      registration.running.set(link, running)
      await running.finally(() => registration.running.delete(link))
    }
  } catch (cause) {
    server?.fail(asRingfenceError(cause))
    throw cause
  } finally {
    server?.close()
  }
}

/** The number of the client's next inference, or null when it has left. */
async function nextInference(link: Link, deadlineMs: number): Promise<number | null> {
  try {
    return readInference(await link.receive(Kind.start, Phase.online, 0, INFERENCE_BYTES, { deadlineMs }))
  } catch (error) {
    if (error instanceof RingfenceError && (error.code === 'PEER_GONE' || error.code === 'ABORTED')) return null
    throw error
  }
}

async function help(client: HelpedClient<SecurennPlan>, server: Link, inference: number) {
  const { k, registration, streams, link, deadlineMs } = client
  if (!registration.open) throw new RingfenceError('PEER_GONE', 'the server has left the helper')
  const { planned } = registration
  const share = registration.share! // on securenn this thread deals
  // What the helper sends first depends on nothing but the number, which is burnt: it need not wait for the server's word.
  let word: Promise<void> | undefined
  const agree = async () => {
    // The server has a queue, in which nobody waits for longer.
    const patience = { deadlineMs: LONGEST_WAIT_MS + deadlineMs }
    const word = () => server.receive(Kind.start, Phase.online, 0, INFERENCE_BYTES, patience)
    const theirs = readInference(await keptAlive(link, deadlineMs, word))
    if (theirs === inference) return
    throw new RingfenceError('PROTOCOL', `the client starts inference ${inference}, its server ${theirs}`)
  }
  const agreed = () => {
    word ??= agree()
    return word
  }
  await scoped(k, (k) => {
    const [ch, sh, own] = [streams.ch.on(k), streams.sh.on(k), streams.own.on(k)]
    return runHelper({ k, ch, sh, own, client: link, server }, planned, share, inference, agreed)
  })
}

/** The server's connection for a client, as soon as it is there. */
async function serverLink({ registration, held: { name }, deadlineMs, link }: HelpedClient): Promise<Link> {
  let timer: ReturnType<typeof setTimeout> | undefined
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(
      () =>
        reject(
          new RingfenceError(
            'DEADLINE',
            `the server did not connect for its client within ${deadlineMs} ms; ${moreTime(deadlineMs)}`,
          ),
        ),
      deadlineMs,
    )
  })
  const left = link.closed.then(() => {
    throw new RingfenceError('PEER_GONE', 'the connection of the client ended before its server connected')
  })
  try {
    return await Promise.race([registration.sessionLinks.take(name), late, left])
  } finally {
    clearTimeout(timer)
    registration.sessionLinks.forget(name)
  }
}
