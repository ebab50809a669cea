// Picture files as a network's inputs, with what is wrong in any of them reported at once.
import { RingfenceError } from '../errors.js'
import { decodeImage } from '../model/pictures/decode.js'
import { pictureToInput } from '../model/pictures/input.js'
import type { Resize } from '../model/pictures/resize.js'
import type { Plan } from '../plan/plan.js'
import { readWhole } from './whole-files.js'

export interface ImageFile {
  readonly file: string
  readonly bytes: Uint8Array
}

/** @throws RingfenceError BAD_FILE naming every file that cannot be read */
export async function readImageFiles(files: readonly string[]): Promise<ImageFile[]> {
  const settled = await Promise.allSettled(files.map((file) => readWhole(file)))
  const failed = settled.flatMap((one) => (one.status === 'rejected' ? [one.reason as Error] : []))
  const fault = failed.find((error) => !(error instanceof RingfenceError))
  if (fault) throw fault
  // In the order of the files, whichever answered first.
  const problems = failed.map(({ message }) => message)
  if (problems.length > 0) throw new RingfenceError('BAD_FILE', 'expected picture files that can be read', problems)
  return settled.map((one, i) => ({ file: files[i], bytes: (one as PromiseFulfilledResult<Uint8Array>).value }))
}

/**
 * PNG, JPEG, or raw planar bytes of exactly the network's input shape; CHW, normalised as the plan says.
 * @throws RingfenceError BAD_INPUT or BAD_FILE with the problems of all files
 */
export function imageInputs(
  images: readonly ImageFile[],
  { input }: Pick<Plan, 'input'>,
  resize?: Resize,
): Float32Array[] {
  const problems: RingfenceError[] = []
  const inputs = images.map(({ file, bytes }) => {
    try {
      return pictureToInput(decodeImage(bytes, file, input.shape), input, { name: file, resize })
    } catch (error) {
      if (!(error instanceof RingfenceError)) throw error
      problems.push(error)
      return new Float32Array(0)
    }
  })
  if (problems.length === 1) throw problems[0]
  if (problems.length > 1) {
    const lines = problems.map(({ message }) => message)
    throw new RingfenceError(problems[0].code, `${problems.length} pictures do not fit this network`, lines)
  }
  return inputs
}
