// A party's long-lived secret key, in a file that only its owner can read.
import { open, readFile } from 'node:fs/promises'
import { RingfenceError } from '../../errors.js'
import { type KeyPair, keyPair } from '../../random/seed.js'
import { type FlagDefinitions, fromHex, toHex } from '../terminal/arguments.js'

export const IDENTITY_FLAG = {
  identity: {
    type: 'string',
    valueHint: 'FILE',
    description: 'file of the long-lived secret key, made when it is missing; without it every start has a new key',
  },
} as const satisfies FlagDefinitions

/** Reads the key pair, or makes a new one in a file that only its owner can read. */
export async function loadIdentity(file: string): Promise<KeyPair> {
  try {
    const text = (await readFile(file, 'utf8')).trim()
    if (/^[0-9a-f]{64}$/i.test(text)) return keyPair(fromHex(text))
    throw new RingfenceError('BAD_FILE', `${file}: expected a secret key of 64 hexadecimal digits`)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return newIdentity(file)
    if (error instanceof RingfenceError) throw error
    throw new RingfenceError('BAD_FILE', `${file}: the secret key cannot be read`, [], { cause: error })
  }
}

async function newIdentity(file: string): Promise<KeyPair> {
  const keys = keyPair()
  try {
    const handle = await open(file, 'wx', 0o600)
    await handle.writeFile(`${toHex(keys.secretKey)}\n`)
    await handle.close()
  } catch (cause) {
    throw new RingfenceError('BAD_FILE', `${file}: the new secret key cannot be written there`, [], { cause })
  }
  return keys
}
