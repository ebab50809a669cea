// The files of a certificate and its key.
import { RingfenceError } from '../errors.js'
import { readTextOf } from '../files/whole-files.js'
import type { TlsIdentity } from '../net/websocket-server.node.js'

export interface TlsFiles {
  cert: string
  key: string
}

/** @throws RingfenceError BAD_FILE */
export async function readTls(files: TlsFiles): Promise<TlsIdentity> {
  return { cert: await readTextOf('a PEM file', files.cert), key: await readTextOf('a PEM file', files.key) }
}

/** What `listen` and `renew` say of an identity, said of its files. */
export async function aboutFiles<T>(files: TlsFiles | undefined, use: () => T | Promise<T>): Promise<T> {
  try {
    return await use()
  } catch (error) {
    if (!files || !(error instanceof RingfenceError) || error.code !== 'BAD_INPUT') throw error
    const problems = error.problems.map((problem) =>
      problem.replace(/^(cert|key)(?=:)/, (part) => files[part as 'cert']),
    )
    const what = `${files.cert} and ${files.key}: expected a certificate and its private key, both PEM`
    throw new RingfenceError('BAD_FILE', what, problems, { cause: error })
  }
}
