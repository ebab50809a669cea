// Which model files of other people convert, and which of them run privately: `npm run models:real`. Fetches the packages.
import { basename } from 'node:path'
import type { RingfenceError } from '../src/errors.js'
import { parseArchitecture } from '../src/model/architecture.js'
import { bindWeights } from '../src/model/weights.js'
import { outlinePlan } from '../src/plan/compile/outline.js'
import { convertModel, fetchPackage, modelFiles, PACKAGES } from '../test/fixtures/real-models.js'

const short = (error: unknown): string => {
  const { message, problems = [] } = error as RingfenceError
  return [message.split('\n')[0], ...problems.slice(0, 2)].join('; ').slice(0, 160)
}

let [files, converted, run] = [0, 0, 0]
for (const name of PACKAGES) {
  fetchPackage(name)
  console.log(name)
  for (const file of modelFiles(name)) {
    files++
    const say = (words: string) => console.log(`  ${basename(file).padEnd(42)} ${words}`)
    try {
      const { arch: json, tensors, outputs } = convertModel(file)
      const arch = parseArchitecture(JSON.stringify(json))
      bindWeights(arch, tensors)
      converted++
      const up = outputs ? `, up to ${outputs.length} values` : ''
      try {
        const { waves } = outlinePlan(arch)
        run++
        say(`runs: ${waves} round trips${up}`)
      } catch (error) {
        say(`converts${up}: ${short(error)}`)
      }
    } catch (error) {
      say(`refused: ${short(error)}`)
    }
  }
}
console.log(`${files} files, ${converted} convert, ${run} run privately on mcc`)
