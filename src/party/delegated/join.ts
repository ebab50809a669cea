// The server's part of a delegated inference once both halves are there.
import { RingfenceError } from '../../errors.js'
import type { Region } from '../../kernels/instance.js'
import { Phase } from '../../net/index.js'
import { Kind } from '../../protocol/kinds.js'
import { blindOutput, delegatedSizes, joinInput, readDelegateHalf } from '../../protocol/mcc/delegated.js'
import { runServer, type ServerWalk } from '../../protocol/mcc/inference.js'
import { type InferenceMaterial, releaseMaterial } from '../../protocol/mcc/material.js'
import type { Owners } from './owners.js'

/**
 * Answers the owner whose other half a delegate's frame is, or tells the delegate that it has left.
 * @param material of the frame's inference alone; used up and released
 */
export async function runJoined(
  walk: ServerWalk,
  owners: Owners,
  frame: Uint8Array,
  material: InferenceMaterial,
): Promise<void> {
  const { k, planned, client } = walk
  const sizes = delegatedSizes(planned.plan)!
  const half = readDelegateHalf(frame, sizes)
  const owner = owners.take(half.id)
  client.send(Kind.joined, Phase.online, 0, new Uint8Array([owner ? 1 : 0]))
  if (!owner) {
    releaseMaterial(material)
    return
  }
  try {
    const give = (y: Region) => owner.resolve(blindOutput(k, planned.plan, sizes, y, half.output))
    await runServer({ ...walk, give }, () => joinInput(k, sizes, owner.words, half.input), material)
  } catch (cause) {
    owner.reject(unfinished(cause))
    throw cause
  }
}

/** What the owner of an inference that was not finished is told. */
function unfinished(cause: unknown): RingfenceError {
  if (cause instanceof RingfenceError && cause.code === 'CHEATED') {
    return new RingfenceError('CHEATED', 'the delegate did not follow the protocol; tell whoever runs the server', [], {
      cause,
    })
  }
  return new RingfenceError('PEER_GONE', 'the delegate left in the middle of the inference; ask again', [], { cause })
}
