// The file of a registration that servers share: `ringfence register` makes it, `serve --registration` reads it.
import { RingfenceError } from '../../../errors.js'
import { fromHex, hex } from '../../../party/messages.js'
import type { SharedRegistration } from '../../../party/server-options.js'
import { keyPair } from '../../../random/seed.js'
import { readSecretOf, writeSecret } from '../secret-file.js'

const FORMAT = 'ringfence registration/1'
const PARTS = ['planDigest', 'helperKey', 'secretKey', 'modelSeed', 'weights'] as const

export function writeRegistration(
  file: string,
  { keys, modelSeed, helperKey, planDigest, weights }: SharedRegistration,
): Promise<void> {
  const parts = { planDigest, helperKey, secretKey: keys.secretKey, modelSeed, weights }
  const text = PARTS.map((name) => `${name} ${hex(parts[name])}\n`).join('')
  return writeSecret('the registration', file, `${FORMAT}\n${text}`)
}

/** @throws RingfenceError BAD_FILE, INSECURE */
export async function readRegistration(file: string): Promise<SharedRegistration> {
  const [format, ...lines] = (await readSecretOf('a registration', file)).trimEnd().split('\n')
  const parts = lines.map((line, at) => new RegExp(`^${PARTS[at]} ([0-9a-f]{64})$`).exec(line)?.[1])
  if (format !== FORMAT || parts.length !== PARTS.length || parts.includes(undefined)) {
    throw new RingfenceError('BAD_FILE', `${file}: expected what ringfence register makes`)
  }
  const [planDigest, helperKey, secretKey, modelSeed, weights] = parts.map((part) => fromHex(part!))
  return { planDigest, helperKey, keys: keyPair(secretKey), modelSeed, weights }
}
