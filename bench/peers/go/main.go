// A running total in Go, as net/http and pgx are used, in three ways, of which an argument chooses one:
//
//	insert  a row for each value
//	total   that, and the total's row in the same transaction
//	group   the same for all that came while the last commit ran, in one commit (group commit)
//
// Started as: program WAY PORT, with the database's address in DATABASE_URL.
package main

import (
	"context"
	"encoding/json"
	"log"
	"net/http"
	"os"

	"github.com/jackc/pgx/v4"
	"github.com/jackc/pgx/v4/pgxpool"
	"github.com/shopspring/decimal"
)

const (
	insertOne = "INSERT INTO entry (value) VALUES ($1) RETURNING id"
	moveTotal = "UPDATE total SET sum = sum + $1, count = count + $2 RETURNING sum::text"
	// In the order of the array, so that ids follow it.
	insertAll = `INSERT INTO entry (value)
		SELECT value::numeric FROM unnest($1::text[]) WITH ORDINALITY AS it (value, place) ORDER BY place
		RETURNING id`
	// As many values as one commit stores at most.
	most = 1000
)

type added struct {
	ID    int64  `json:"id"`
	Value string `json:"value"`
	Sum   string `json:"sum,omitempty"`
}

type adder func(ctx context.Context, value decimal.Decimal) (added, error)

// insert stores a value; PostgreSQL commits it by itself.
func insert(pool *pgxpool.Pool) adder {
	return func(ctx context.Context, value decimal.Decimal) (added, error) {
		it := added{Value: value.String()}
		err := pool.QueryRow(ctx, insertOne, it.Value).Scan(&it.ID)
		return it, err
	}
}

// insertAndTotal stores a value and moves the total, both or neither.
func insertAndTotal(pool *pgxpool.Pool) adder {
	return func(ctx context.Context, value decimal.Decimal) (added, error) {
		it := added{Value: value.String()}
		err := pool.BeginFunc(ctx, func(tx pgx.Tx) error {
			if err := tx.QueryRow(ctx, insertOne, it.Value).Scan(&it.ID); err != nil {
				return err
			}
			return tx.QueryRow(ctx, moveTotal, it.Value, 1).Scan(&it.Sum)
		})
		return it, err
	}
}

type waiting struct {
	value decimal.Decimal
	done  chan outcome
}

type outcome struct {
	added added
	err   error
}

// group hands each value to one goroutine, which commits all that wait at once.
func group(pool *pgxpool.Pool) adder {
	queue := make(chan waiting, most)
	go func() {
		for first := range queue {
			batch := []waiting{first}
			for more := true; more && len(batch) < most; {
				select {
				case next := <-queue:
					batch = append(batch, next)
				default:
					more = false
				}
			}
			answer(batch, commit(pool, batch))
		}
	}()
	return func(_ context.Context, value decimal.Decimal) (added, error) {
		it := waiting{value, make(chan outcome, 1)}
		queue <- it
		result := <-it.done
		return result.added, result.err
	}
}

type committed struct {
	ids []int64
	sum decimal.Decimal
	err error
}

// commit sends both statements at once: between them and their answers there is one round trip, and
// what is sent together is one transaction. The total comes first: its lock gives batches an order.
func commit(pool *pgxpool.Pool, batch []waiting) (it committed) {
	var sum decimal.Decimal
	values := make([]string, len(batch))
	for place, each := range batch {
		values[place] = each.value.String()
		sum = sum.Add(each.value)
	}
	both := &pgx.Batch{}
	both.Queue(moveTotal, sum.String(), len(batch))
	both.Queue(insertAll, values)
	results := pool.SendBatch(context.Background(), both)
	defer func() {
		if err := results.Close(); it.err == nil {
			it.err = err
		}
	}()
	if it.err = results.QueryRow().Scan(&it.sum); it.err != nil {
		return it
	}
	rows, err := results.Query()
	if err != nil {
		return committed{err: err}
	}
	defer rows.Close()
	for rows.Next() {
		var id int64
		if err := rows.Scan(&id); err != nil {
			return committed{err: err}
		}
		it.ids = append(it.ids, id)
	}
	it.err = rows.Err()
	return it
}

// answer gives each its id, and the sum after it: the batch's, less what came later.
func answer(batch []waiting, it committed) {
	sum := it.sum
	for place := len(batch) - 1; place >= 0; place-- {
		each := batch[place]
		if it.err != nil {
			each.done <- outcome{err: it.err}
			continue
		}
		each.done <- outcome{added: added{it.ids[place], each.value.String(), sum.String()}}
		sum = sum.Sub(each.value)
	}
}

func write(response http.ResponseWriter, status int, body any) {
	response.Header().Set("Content-Type", "application/json")
	response.WriteHeader(status)
	if err := json.NewEncoder(response).Encode(body); err != nil {
		log.Print(err)
	}
}

func main() {
	way, port := os.Args[1], os.Args[2]
	pool, err := pgxpool.Connect(context.Background(), os.Getenv("DATABASE_URL"))
	if err != nil {
		log.Fatal(err)
	}
	ways := map[string]func(*pgxpool.Pool) adder{"insert": insert, "total": insertAndTotal, "group": group}
	add := ways[way](pool)
	look := "SELECT sum::text FROM total"
	if way == "insert" {
		look = "SELECT coalesce(sum(value), 0)::text FROM entry"
	}
	http.HandleFunc("/entries", func(response http.ResponseWriter, request *http.Request) {
		var body struct{ Value decimal.Decimal }
		if err := json.NewDecoder(request.Body).Decode(&body); err != nil {
			http.Error(response, err.Error(), http.StatusBadRequest)
			return
		}
		it, err := add(request.Context(), body.Value)
		if err != nil {
			http.Error(response, err.Error(), http.StatusInternalServerError)
			return
		}
		write(response, http.StatusCreated, it)
	})
	http.HandleFunc("/total", func(response http.ResponseWriter, request *http.Request) {
		var sum string
		if err := pool.QueryRow(request.Context(), look).Scan(&sum); err != nil {
			http.Error(response, err.Error(), http.StatusInternalServerError)
			return
		}
		write(response, http.StatusOK, map[string]string{"sum": sum})
	})
	log.Fatal(http.ListenAndServe("127.0.0.1:"+port, nil))
}
