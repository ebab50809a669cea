// Some pictures classified by three parties in this process, as a client, a server and a helper would.
import type { Compiled } from '../../plan/compile/compile.js'
import { localParties } from './parties.js'

/**
 * @param options `onProgress` is told how many inputs are done
 * @returns outputs per input
 * @throws RingfenceError ABORTED by `signal`, or what the parties throw
 */
export async function runPrivately(
  compiled: Compiled,
  inputs: readonly Float32Array[],
  { signal, onProgress }: { readonly signal?: AbortSignal; readonly onProgress?: (done: number) => void } = {},
): Promise<Float32Array[]> {
  const parties = await localParties(compiled)
  const prepares = compiled.plan.backend === 'mcc'
  try {
    const logits: Float32Array[] = []
    for (const input of inputs) {
      if (prepares) await parties.client.prepare(1, { signal })
      const result = await parties.client.run(input, { signal })
      logits.push(Float32Array.from(result.logits))
      onProgress?.(logits.length)
    }
    return logits
  } finally {
    await parties.release()
  }
}
