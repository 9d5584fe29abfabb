/** Where `${cred:NAME}` is looked up: the user's own file. Apart, because who only checks a config builds no house. */
import { places } from '../config/places.ts'
import { openCredentials } from '../credentials/store.ts'
import type { Io } from './io.ts'

export function credentialsOf(io: Pick<Io, 'env'>): (name: string) => string | undefined {
  const store = openCredentials(places(io.env).credentials)
  return name => store.get(name)?.reveal()
}
