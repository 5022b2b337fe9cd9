package wire_test

import (
	"fmt"

	"mdalp/wire"
)

func ExampleParse() {
	m, err := wire.Parse([]byte("Type:3;TID:3740;SEQ:30;"))
	fmt.Println(m.Type, m.TID, m.Seq, m.Data == nil, err)

	_, err = wire.Parse([]byte("Type:3;TID:3740;SEQ:thirty;"))
	fmt.Println(err)
	// Output:
	// ack 3740 30 true <nil>
	// message: byte 20: want a digit, got "thirty"
}

func ExampleAppendData() {
	b := wire.AppendData(nil, 3740, 30, []byte(" eget pellentesque"))
	fmt.Printf("%s\n", b)
	// Output: Type:2;TID:3740;SEQ:30;DATA: eget pellentesque
}

func ExampleAppendOffer() {
	b := wire.AppendOffer(nil, 7, []wire.Receiver{
		{Host: "192.0.2.1", Name: "Tom's"},
		{Host: "2001:db8::1", Port: 5000},
	})
	fmt.Printf("%s\n", b)
	// Output: Type:1;TID:7;DATA:[{'ip_address': '192.0.2.1', 'name': "Tom's"}, {'ip_address': '2001:db8::1', 'port': 5000}];
}

func ExampleParseReceivers() {
	rs, err := wire.ParseReceivers([]byte(`[{"name": 'A', 'ip_address': "192.0.2.1", 'rack': (4, None)},];`))
	fmt.Printf("%+v %v\n", rs, err)

	// What the original client would have run as a program:
	_, err = wire.ParseReceivers([]byte(`[{'ip_address': __import__('os').system('id')}]`))
	fmt.Println(err)
	// Output:
	// [{Host:192.0.2.1 Name:A Port:0 Seg:0 Win:0 Short:false}] <nil>
	// offer: byte 16: want a string, got "__import__("
}

func ExampleParseRanges() {
	rs, err := wire.ParseRanges([]byte("30-41,45,47-52;"))
	fmt.Println(rs, err)
	fmt.Printf("%s\n", wire.AppendRanges(nil, rs))
	// Output:
	// [{30 41} {45 45} {47 52}] <nil>
	// 30-41,45,47-52
}
