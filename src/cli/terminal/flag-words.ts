// What a library call says of its options, said of the flags that set them.
import { RingfenceError } from '../../errors.js'
import { readTextOf } from '../../files/whole-files.js'
import { type FlagDefinitions, PLAN_FLAGS } from './arguments.js'
import { describeFailure } from './failure-report.js'

/** @throws what `work` throws, with every option called by the flag that sets it */
export async function inFlags<T>(work: Promise<T>, flags: FlagDefinitions = PLAN_FLAGS): Promise<T> {
  try {
    return await work
  } catch (error) {
    if (!(error instanceof RingfenceError) || error.problems.length === 0) throw error
    const { code, message } = describeFailure(error)
    const problems = error.problems.map((problem) => aboutFlags(problem, flags))
    throw new RingfenceError(code as RingfenceError['code'], message, problems, { cause: error })
  }
}

/** An option begins its problem, as in `bits: expected …`; one of two words is known for one anywhere. */
function aboutFlags(problem: string, flags: FlagDefinitions): string {
  return Object.keys(flags).reduce((text, flag) => {
    const option = flag.replace(/-(.)/g, (_, letter: string) => letter.toUpperCase())
    const pattern = option === flag ? new RegExp(`^${option}(?=: )`) : new RegExp(`\\b${option}\\b`, 'g')
    return text.replace(pattern, `--${flag}`)
  }, problem)
}

/** The secret that a flag gives: as it stands, or from the file behind an @. @throws RingfenceError BAD_FILE */
export async function secretOf(flag: string, text: string | undefined): Promise<string | undefined> {
  if (!text?.startsWith('@')) return text
  return (await readTextOf(`the secret of --${flag}`, text.slice(1))).trim()
}
