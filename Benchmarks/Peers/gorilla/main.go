// SPDX-License-Identifier: Apache-2.0

// gorilla/sessions with redistore. Usage: gorilla PORT REDIS-PORT
package main

import (
	"fmt"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/boj/redistore"
	"github.com/gorilla/sessions"
)

var store *redistore.RediStore

func text(length int) string { return strings.Repeat("x", length) }

func answer(w http.ResponseWriter, body string) {
	w.Header().Set("Content-Type", "application/json")
	fmt.Fprint(w, body)
}

// Saving restarts the 30 minutes; there is no other way to do that.
func with(handle func(*http.Request, *sessions.Session) string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		session, err := store.Get(r, "session")
		if err != nil {
			http.Error(w, "session", 500)
			return
		}
		body := handle(r, session)
		if err := session.Save(r, w); err != nil {
			http.Error(w, "session", 500)
			return
		}
		answer(w, body)
	}
}

func read(_ *http.Request, session *sessions.Session) string {
	uid, isSignedIn := session.Values["uid"].(int)
	count, _ := session.Values["n"].(int)
	if !isSignedIn {
		return fmt.Sprintf(`{"uid":null,"n":%d}`, count)
	}
	return fmt.Sprintf(`{"uid":%d,"n":%d}`, uid, count)
}

func write(_ *http.Request, session *sessions.Session) string {
	count, _ := session.Values["n"].(int)
	session.Values["n"] = count + 1
	return `{"ok":true}`
}

func main() {
	var err error
	store, err = redistore.NewRediStore(64, "tcp", "127.0.0.1:"+os.Args[2], "", []byte(text(32)))
	if err != nil {
		panic(err)
	}
	store.SetMaxAge(1800)
	store.Options.HttpOnly = true
	ok := func(w http.ResponseWriter, _ *http.Request) { answer(w, `{"ok":true}`) }
	// Sessions are loaded by the handlers that use them; both are the same here.
	http.HandleFunc("/bare", ok)
	http.HandleFunc("/none", ok)
	http.HandleFunc("/read", with(read))
	http.HandleFunc("/write", with(write))
	http.HandleFunc("/slow", with(func(r *http.Request, session *sessions.Session) string {
		time.Sleep(300 * time.Millisecond)
		return write(r, session)
	}))
	http.HandleFunc("/login", with(func(r *http.Request, session *sessions.Session) string {
		uid, _ := strconv.Atoi(r.URL.Query().Get("uid"))
		session.Values["uid"] = uid
		session.Values["name"] = text(60)
		session.Values["email"] = text(60)
		session.Values["csrf"] = text(64)
		session.Values["n"] = 0
		return `{"ok":true}`
	}))
	http.HandleFunc("/logout", with(func(_ *http.Request, session *sessions.Session) string {
		session.Options.MaxAge = -1
		return `{"ok":true}`
	}))
	panic(http.ListenAndServe("127.0.0.1:"+os.Args[1], nil))
}
