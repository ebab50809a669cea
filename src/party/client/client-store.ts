// Where a client keeps its part of prepared material while no page is open: in a browser, IndexedDB.
import { RingfenceError } from '../../errors.js'

/** The secrets of one inference that was prepared. With them and what the server sees, its input can be opened. */
export interface StoredMaterial {
  /** Session and number: no two entries share it. */
  readonly id: string
  /** The server's address, as the client was given it. */
  readonly server: string
  /** Address of the one server that has the other part, where `server` leads to several; else empty. */
  readonly home: string
  /** Plan and helper: what was prepared under others is not used. */
  readonly terms: string
  readonly session: Uint8Array
  readonly token: Uint8Array
  readonly inference: number
  readonly seed: Uint8Array
  /** Milliseconds since 1970, after which it is deleted unused. */
  readonly expires: number
}

/** Keeps entries, each to be taken out once. */
export interface MaterialStore {
  /** Copies of all entries. */
  list(): Promise<readonly StoredMaterial[]>
  /** Stores a copy. */
  put(entry: StoredMaterial): Promise<void>
  /**
   * Deletes an entry and returns it once the deletion is final: of all who ask for it, at once or later, one gets it.
   * The others get undefined.
   */
  take(id: string): Promise<StoredMaterial | undefined>
}

/**
 * The store of an option.
 * @throws RingfenceError UNSUPPORTED where there is no IndexedDB, or none for this page
 */
export async function openMaterialStore(keep: boolean | MaterialStore | undefined): Promise<MaterialStore | undefined> {
  if (keep !== true) return keep || undefined
  if (typeof indexedDB === 'undefined') {
    const what = 'keepMaterial: this host has no IndexedDB; pass a store of your own (MaterialStore)'
    throw new RingfenceError('UNSUPPORTED', what)
  }
  try {
    return new IndexedDbStore(await openDatabase())
  } catch (cause) {
    throw new RingfenceError('UNSUPPORTED', 'keepMaterial: this page may not use IndexedDB', [], { cause })
  }
}

const STORE = 'material'

function openDatabase(): Promise<IDBDatabase> {
  const opening = indexedDB.open('ringfence', 1)
  opening.onupgradeneeded = () => opening.result.createObjectStore(STORE, { keyPath: 'id' })
  return result(opening)
}

class IndexedDbStore implements MaterialStore {
  constructor(private readonly database: IDBDatabase) {
    // A page that wants to delete the database need not wait for this one.
    database.onversionchange = () => database.close()
  }

  list(): Promise<StoredMaterial[]> {
    return result(this.database.transaction(STORE).objectStore(STORE).getAll())
  }

  async put(entry: StoredMaterial): Promise<void> {
    await this.#change((store) => store.put(entry))
  }

  // Transactions that write wait for one another, across tabs too: only the first finds the entry.
  take(id: string): Promise<StoredMaterial | undefined> {
    return this.#change((store) => {
      const found = store.get(id)
      store.delete(id)
      return found
    })
  }

  /** Resolves when the transaction is complete and on disk. */
  #change<T>(work: (store: IDBObjectStore) => IDBRequest<T>): Promise<T> {
    const transaction = this.database.transaction(STORE, 'readwrite', { durability: 'strict' })
    const request = work(transaction.objectStore(STORE))
    return new Promise((resolve, reject) => {
      transaction.oncomplete = () => resolve(request.result)
      transaction.onabort = () => reject(transaction.error)
    })
  }
}

function result<T>(request: IDBRequest<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result)
    request.onerror = () => reject(request.error)
  })
}
