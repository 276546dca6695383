package wct_test

import (
	"fmt"

	"fairwatt/aggregator/wct"
)

func ExampleBuild() {
	in, err := wct.ParseInput([]byte(`{"n":4,"t_e4":[8500,8500,9000,8500],"l":[1,1,2,1],
		"w_sparse_us":[[2,0,900],[2,1,700],[2,3,9000],[0,3,800]],"wt":1,"wl":1,"t_thre_e4":8000,"w_thre_us":8000}`))
	if err != nil {
		fmt.Println(err)
		return
	}
	tree, err := wct.Build(in, wct.WCT)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(tree.Edges, wct.Measure(in, tree).TimeExactUs, "us")
	// Output: [[2 0] [2 1] [0 3]] 1700 us
}

// With the failed ones last, the next node of the sequence becomes the root.
func ExampleNewTree() {
	tree := wct.NewTree(wct.WCT, []int{0, 1, 3, 2}, []int{2, 1, 2, 1})
	parent, _ := tree.Parent(2)
	fmt.Println(tree.Children(0), parent)
	// Output: [1 3] 1
}
